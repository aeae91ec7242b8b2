"""Hooks of mkdocs: pages from elsewhere in the repository, the page of the command line, and equations as MathML."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import typer
from latex2mathml.converter import convert
from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

from parsec.cli import app

ROOT = Path(__file__).resolve().parents[2]
# Links that lead out of this folder, and what they lead to in the site.
OUTSIDE = {"../../config/README.md": "settings.md", "../../results/records/": "records/"}
SOURCES = re.compile(r"\[([^\]]*)\]\((?:\.\./)+(?!config/README\.md|results/records/)[^)]*\)")
"""A link to a file of the repository that is no page; the site shows only its text."""


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Pages from elsewhere in the repository take the places that links expect."""
    files.append(File.generated(config, "settings.md", abs_src_path=str(ROOT / "config" / "README.md")))
    files.append(File.generated(config, "commands.md", content=commands()))
    records = ROOT / "results" / "records"
    for path in sorted(records.rglob("*")):
        name = f"records/{path.relative_to(records).as_posix()}"
        if path.is_file():
            files.append(File.generated(config, name, abs_src_path=str(path)))
        elif path.name == "tables":
            files.append(
                File.generated(config, f"records/{path.parent.name}/index.md", content=record_page(path.parent))
            )
    return files


def record_page(record: Path) -> str:
    """All tables of a record on one page, with links to its settings and results."""
    head = f"# {record.name}\n\n[Settings](settings.yaml), [results, one per line](results.jsonl)\n"
    return "\n".join([head, *(path.read_text(encoding="utf-8") for path in sorted(record.glob("tables/*.md")))])


def on_page_markdown(markdown: str, page: Page, **given: object) -> str:
    """Rewrite links out of the folder, and equations to MathML, which browsers show without a script."""
    up = "../" * page.file.src_uri.count("/")
    markdown = SOURCES.sub(r"\1", markdown)
    for outside, inside in OUTSIDE.items():
        markdown = markdown.replace(f"]({outside}", f"]({up}{inside}")
    # A record is a folder, with one page in the site.
    markdown = re.sub(r"\]\(((?:records/)?\d{4}-\d\d-\d\d-[^/)]+)/?\)", r"](\1/index.md)", markdown)
    # A pattern in a message is no reference.
    markdown = markdown.replace("][", "]\\[") if page.file.src_uri == "bad-inputs.md" else markdown
    if "$$" not in markdown:
        return markdown
    markdown = re.sub(r"^\$\$(.+?)\$\$$", lambda match: convert(match[1], display="block"), markdown, flags=re.M)
    return re.sub(r"\$([^$\n]+)\$", lambda match: convert(match[1]), markdown)


def commands() -> str:
    """The page of the command line, from the commands themselves."""
    lines = ["# Command line", "", "`parsec COMMAND --help` prints the same."]
    for name, command in _leaves(typer.main.get_command(app), "parsec"):
        lines += ["", f"## {name}", "", command.help or "", "", "| option | meaning |", "| --- | --- |"]
        for option in command.params:
            text = (getattr(option, "help", None) or "").replace("|", "\\|")
            lines.append(f"| `{' '.join(option.opts)}` | {text} |")
    return "\n".join(lines) + "\n"


def _leaves(command: Any, path: str) -> Iterator[tuple[str, Any]]:  # noqa: ANN401 - Typer's own click
    for name, child in getattr(command, "commands", {}).items():
        if getattr(child, "commands", None):
            yield from _leaves(child, f"{path} {name}")
        elif not child.hidden:
            yield f"{path} {name}", child
