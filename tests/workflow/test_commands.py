"""Every command that a page or a message prints works as printed: its program takes it, and Snakemake plans it."""

import ast
import contextlib
import csv
import io
import re
import shlex
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any, NamedTuple

import pytest
import typer
from snakemake.cli import get_argument_parser as snakemake_parser
from snakemake.cli import parse_args
from workspace import ROOT, environment

from parsec.cli import app
from parsec.config.datasets import PrepareJob
from parsec.config.load import load_job
from parsec.config.tabular import ImportJob, ProposalJob
from parsec.config.zero_cost import FitPiJob
from parsec.errors import UserError

PAGES = (
    *("*.md", "config/*.yaml", "config/*.md", "envs/*"),
    *("workflow/docs/*.md", "workflow/profiles/*/*.yaml", "results/records/*.md", "tests/workflow/*.yaml"),
)
OPEN = "results/records/open.csv"
JOBS = {"prepare": PrepareJob, "fit-pi": FitPiJob, "propose": ProposalJob, "import-benchmark": ImportJob}
OWN = dict.fromkeys(("many.yaml", "mine.yaml", "photos.yaml"), "tests/workflow/tiny.yaml")
STANDS_IN = OWN | {"s3": "fs", "s3://BUCKET/PREFIX": "stored", "~/parsec/workflow/Snakefile": "workflow/Snakefile"}
"""What a page leaves to its reader, and what is planned with here."""
MACHINE = "--workflow-profile\nworkflow/profiles/default"


class Command(NamedTuple):
    """A printed command without what stands before its program, such as `timeout` or `docker run`."""

    program: str
    words: tuple[str, ...]
    complete: bool
    """Whether it is printed to be given as it is; otherwise a sentence names it, arguments left out."""
    page: str


def printed() -> Iterator[tuple[str, str, bool]]:
    """Pages and the lines of shell in them: blocks of Markdown, code within a sentence, messages of the program."""
    for path in dict.fromkeys(file for pattern in PAGES for file in sorted(ROOT.glob(pattern))):
        text, page = path.read_text(), str(path.relative_to(ROOT))
        blocks = re.findall(r"```sh\n(.*?)```", text, re.DOTALL)
        yield from ((page, line, True) for block in blocks for line in block.replace("\\\n", " ").splitlines())
        yield from ((page, span, False) for span in spans(re.sub(r"```.*?```", "", text, flags=re.DOTALL)))
    with (ROOT / OPEN).open(newline="") as file:
        yield from ((OPEN, row["command"], True) for row in csv.DictReader(file))
    for path in sorted((ROOT / "parsec").rglob("*.py")):
        for text in literals(ast.parse(path.read_text())):
            yield from ((str(path.relative_to(ROOT)), span, False) for span in spans(text))


def spans(text: str) -> list[str]:
    """Code within sentences; it may go over the end of a line, which may begin with the sign of a comment."""
    return [re.sub(r"\s*\n[#\s]*", " ", span) for span in re.findall(r"`([^`]+)`", text)]


def literals(tree: ast.AST) -> Iterator[str]:
    """Texts in a module, with one word for every value that is filled in."""
    for node in ast.walk(tree):
        if isinstance(node, ast.JoinedStr):
            yield "".join(part.value if isinstance(part, ast.Constant) else "VALUE" for part in node.values)
        elif isinstance(node, ast.Constant) and isinstance(node.value, str):
            yield node.value


def commands() -> Iterator[Command]:
    """The commands of the programs that the project brings or is started with, each once."""
    seen = set()
    for page, line, complete in printed():
        if not re.search(r"\b(snakemake|parsec|pytest|pip)\b", line):
            continue
        for words in simple_commands(line):
            program = program_of(words)
            if program and (*program, complete) not in seen:
                seen.add((*program, complete))
                yield Command(*program, complete, page)


def simple_commands(line: str) -> Iterator[list[str]]:
    """The words of every command of a line, without comments and redirections."""
    line = re.sub(r"\$\(.*?\)", "VALUE", re.sub(r"<([\w ]+)>", r"\1", line))
    lexer = shlex.shlex(line, posix=True, punctuation_chars=True)
    lexer.whitespace_split = True
    words: list[str] = []
    for word in [*lexer, ";"]:
        if word in ("&&", "||", ";", "|"):
            yield words[: words.index(">")] if ">" in words else words
            words = []
        else:
            words.append(word)


def program_of(words: list[str]) -> tuple[str, tuple[str, ...]] | None:
    """The program and its arguments, if it is one of ours."""
    for index, word in enumerate(words):
        rest = tuple(words[index + 1 :])
        if word.startswith("python") and rest[:1] == ("-m",):
            return (rest[1], rest[2:]) if rest[1] in ("parsec", "pytest", "snakemake") else None
        if word in ("snakemake", "pytest") or (index == 0 and word in ("parsec", "pip")):
            return word, rest
    return None


COMMANDS = list(commands())


def of(program: str, complete: bool | None = None) -> list[Command]:
    return [c for c in COMMANDS if c.program == program and complete in (None, c.complete)]


def refused(candidates: list[Command], check: Callable[[Command], None]) -> str:
    """Commands that their program does not take, a line each, with their page and what the program says."""
    lines = []
    for command in candidates:
        said = io.StringIO()
        try:
            with contextlib.redirect_stderr(said), contextlib.redirect_stdout(said):
                check(command)
        except typer.Exit:
            continue  # it asked for help
        except (SystemExit, UserError, typer.TyperException, AssertionError) as error:
            if isinstance(error, SystemExit) and not error.code:
                continue  # it asked for help
            last = said.getvalue().strip().splitlines()[-1] if isinstance(error, SystemExit) else str(error)
            lines.append(f"{command.page}: {command.program} {shlex.join(command.words)}: {last}")
    return "\n".join(lines)


def test_every_kind_of_page_has_commands():
    for page in ("README.md", "workflow/docs/many-gpus.md", "results/records/README.md", "results/records/claims.md"):
        assert page in {page for page, line, _ in printed() if "snakemake" in line}
    names = "|".join(typer.main.get_command(app).commands)
    for path in {file for pattern in PAGES for file in ROOT.glob(pattern)}:
        prose = re.sub(r"```.*?```|`[^`]+`", "", path.read_text(), flags=re.DOTALL)
        assert not re.search(rf"snakemake -|parsec ({names}) -", prose), f"{path}: a command that is not marked as code"
    assert len(of("snakemake")) > 15
    assert len(of("parsec")) > 15


def subcommands(group: Any) -> Iterator[Any]:
    """Every subcommand below a group."""
    for each in group.commands.values():
        yield from subcommands(each) if hasattr(each, "commands") else [each]


def settings_on(page: str, name: str) -> str | None:
    """The settings that a page has its reader write into a file of this name."""
    text = (ROOT / page).read_text() if (ROOT / page).is_file() else ""
    written = re.search(rf"^echo '(.*)' > {re.escape(name)}$", text, re.MULTILINE)
    return written and written[1]


def parse_parsec(command: Command) -> None:
    """Read a command of the package by its own parser; where a sentence names it, what is left out is not missed."""
    if command.words[:1] in ((), ("VALUE",), ("--help",), ("--version",)):
        return
    verb: Any = typer.main.get_command(app)
    context = verb.make_context("parsec", [*command.words])
    words = ["1" if word == "N" else word for word in command.words]
    elided = not command.complete or any(word in ("…", "...") for word in words)
    rest = [word for word in words if word not in ("…", "...")]
    while hasattr(verb, "commands") and (rest or not elided):
        _, verb, rest = verb.resolve_command(context, rest or ["nothing"])
    for parameter in verb.params if elided else ():
        parameter.required = False
    given = verb.make_context(verb.name, rest).params
    if given.get("settings") and (text := settings_on(command.page, given["settings"].name)):
        load_job(text, JOBS[words[0]])


def test_settings_on_pages_are_found():
    named = [(c, c.words[c.words.index("--settings") + 1]) for c in of("parsec", True) if "--settings" in c.words]
    assert {command.words[0] for command, name in named if settings_on(command.page, name)} == set(JOBS)


@pytest.mark.parametrize(
    ("words", "complete"),
    [
        ("nonsense", False),
        ("settings", True),
        ("settings nonsense", False),
        ("search --nonsense", False),
        ("search --ranks 0 …", True),
        ("bench nonsense", False),
        ("complexity DARTS_V2 --network cifar", True),
    ],
)
def test_wrong_commands_are_refused(words, complete):
    assert refused([Command("parsec", tuple(words.split()), complete, "a page")], parse_parsec).startswith("a page: ")


def test_commands_of_the_package_are_taken():
    assert refused(of("parsec"), parse_parsec) == ""


def parse_snakemake(command: Command) -> None:
    """Read a call by Snakemake's own parser, and see that what it takes for settings and profiles exists."""
    given = parse_args(list(command.words))[1]
    files = [STANDS_IN.get(str(file), str(file)) for file in given.configfile or ()]
    for file in [*files, *([given.workflow_profile] if given.workflow_profile else [])]:
        if not (ROOT / file).exists():
            raise AssertionError(f"{file} is taken for a file of settings or a profile, and is none")
    if command.complete and not (given.cores or given.jobs or given.dryrun):
        raise AssertionError("it says neither how many cores nor how many jobs")


def test_calls_of_snakemake_are_taken(monkeypatch):
    monkeypatch.chdir(ROOT)
    assert refused(of("snakemake"), parse_snakemake) == ""


def plans() -> Iterator[list[str]]:
    """Calls that stand for all that are printed: cores and the profile of one machine make no difference to a plan."""
    targets: dict[tuple[str, ...], set[str]] = {}
    for command in of("snakemake", complete=True):
        words = [STANDS_IN.get(word, word) for word in command.words]
        asked = parse_args(words)[1].targets
        options = re.sub(rf"--cores\n\w+|-n(?=\n)|{MACHINE}", "", "\n".join(words) + "\n").split()
        options = tuple(word for word in options if word not in asked)
        targets.setdefault(options, set()).update(asked or [""])
    for options, asked in targets.items():
        yield from [list(options)] if "" in asked else []
        yield from [[*sorted(asked - {""}), *options]] if asked - {""} else []


def test_options_in_sentences_exist():
    """Those that are named without their command belong to Snakemake or to a subcommand."""
    known = set(snakemake_parser()._option_string_actions)
    whole = typer.main.get_command(app)
    for each in (whole, *subcommands(whole)):
        known |= {option for parameter in each.params for option in parameter.opts}
    named = {span.split()[0].partition("=")[0]: page for page, span, _ in printed() if re.match(r"--\w", span)}
    assert {option: page for option, page in named.items() if option not in known} == {}


def test_every_call_of_snakemake_is_planned(tmp_path, monkeypatch):
    monkeypatch.chdir(ROOT)
    (tmp_path / "config").symlink_to(ROOT / "config")

    def plan(words: list[str]) -> str:
        if "fs" in words and not shutil.which("rsync"):
            return ""  # The storage plugin does not start without it.
        call = [sys.executable, "-m", "snakemake", *words, "-n", "--quiet", "all", "--directory", str(tmp_path)]
        done = subprocess.run(call, cwd=ROOT, env=environment(), capture_output=True, text=True, check=False)
        return f"snakemake {shlex.join(words)}: {(done.stdout + done.stderr)[-400:]}" if done.returncode else ""

    with ThreadPoolExecutor(2) as pool:
        assert "\n".join(filter(None, pool.map(plan, plans()))) == ""


def test_calls_of_pytest_find_tests():
    for words in {command.words for command in of("pytest", complete=True) if command.words}:
        call = [sys.executable, "-m", "pytest", *words, "--collect-only", "-p", "no:cacheprovider"]
        done = subprocess.run(call, cwd=ROOT, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout[-2000:] + done.stderr


def test_pip_commands_name_existing_extras():
    known = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    named = {word for command in of("pip") for word in command.words if word.startswith(".[")}
    assert named
    assert {extra for word in named for extra in word[2:-1].split(",")} <= set(known)
    files = [command.words[command.words.index("-c") + 1] for command in of("pip") if "-c" in command.words]
    assert all((ROOT / file).exists() for file in files)
