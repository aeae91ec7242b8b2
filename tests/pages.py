"""Scripts and files that the pages on Python print, written out to be run."""

import re
import tomllib
from pathlib import Path

from workspace import ROOT

PAGES = ROOT / "workflow" / "docs"


def blocks(page: str, language: str) -> dict[str, str]:
    """Blocks of a page in a language by the name that stands beside it, the others by their number."""
    found = re.findall(rf"^```{language}(?: (\S+))?\n(.*?)^```", (PAGES / page).read_text(), re.MULTILINE | re.DOTALL)
    return {name or f"{language}{number}": text for number, (name, text) in enumerate(found)}


def write_scripts(folder: Path, page: str) -> list[str]:
    """Write the scripts and modules of a page; returns the names of the scripts, in the order of the page."""
    scripts = blocks(page, "python")
    for name, text in scripts.items():
        (folder / (name if name.endswith(".py") else f"{name}.py")).write_text(text)
    return [f"{name}.py" for name in scripts if not name.endswith(".py")]


def install_plugin(folder: Path) -> None:
    """Write the module of the page on own spaces, and what pip would make of the `pyproject.toml` beside it."""
    project = tomllib.loads(blocks("own-space.md", "toml")["toml0"])["project"]
    write_scripts(folder, "own-space.md")
    installed = folder / "toy_space-1.0.dist-info"
    installed.mkdir()
    (installed / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {project['name']}\nVersion: 1.0\n")
    points = "".join(f"{name} = {module}\n" for name, module in project["entry-points"]["parsec.plugins"].items())
    (installed / "entry_points.txt").write_text(f"[parsec.plugins]\n{points}")
