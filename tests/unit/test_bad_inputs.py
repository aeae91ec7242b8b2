"""Bad inputs: each ends with an exit code other than zero and one line, which a page of the documentation shows."""

import io
import json
from collections.abc import Callable, Iterable
from contextlib import chdir, redirect_stderr, redirect_stdout
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import yaml

from parsec.cli import main
from parsec.data.prepare import prepare
from parsec.errors import SettingsError
from parsec.runtime.files import write_atomic
from parsec.settings.datasets import Digits
from parsec.settings.jobs import PrepareJob, as_json, retrain_job, search_job
from parsec.settings.load import load
from parsec.space.published import DARTS_V2

ROOT = Path(__file__).resolve().parents[2]
PAGE = ROOT / "workflow/docs/bad-inputs.md"
TINY = load(ROOT / "tests/workflow/tiny.yaml")
HEAD = """# Bad inputs, and what comes of them

Every row is a run of `tests/unit/test_bad_inputs.py` that ended with an exit code other than 0 and this one line on
standard error; FOLDER stands for the folder of its files. To write this page again:

```sh
pytest tests/unit/test_bad_inputs.py --renew-pages
```
"""
SIZE = ["--network", "cifar", "--cells", "20", "--channels", "36"]
SEARCH = as_json(search_job(TINY, "search", "parsec"))
PHOTOS = {"name": "photos", "dataset": {"source": "image_folder", "folder": "photos", "image_size": 32}}
FIT = '{"space": "nasbench201", "scored": 9, "keep": 3}'
TABLE = ["--settings", '{"space": "nasbench201", "repeats": 1, "budget": 10}', "--seed", "0"]


class Outcome(NamedTuple):
    """How a command ended, FOLDER in the place of its folder."""

    code: int
    out: str
    lines: list[str]


@dataclass(frozen=True)
class At:
    """The folder of a case, and what its command may be given there."""

    folder: Path
    digits: Path
    """A prepared data set."""

    def text(self, name: str, content: str | bytes) -> Path:
        """A file of this content."""
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return path

    def genotype(self, **changes: Any) -> Path:
        """The file of a genotype with some keys changed."""
        return self.text("genotype.json", json.dumps({**DARTS_V2.as_dict(), **changes}))

    def search(self, settings: object = SEARCH, data: Path | None = None) -> list[object]:
        """The command of a search."""
        places = ["--output", self.folder / "output", "--state", self.folder / "state"]
        return ["search", "--settings", settings, "--seed", 0, "--data", data or self.digits, *places]

    def retrain(self, genotype: object, data: Path | None = None) -> list[object]:
        """The command of a training from scratch."""
        job = as_json(retrain_job(TINY, "digits"))
        names = ["--genotype", genotype, "--origin", "search", "--method", "parsec", "--run", 0]
        return ["retrain", *self.search(job, data)[1:], *names]


SETTINGS: dict[str, dict[str, Any]] = {
    "a mistyped key": {"retrain.digits.epohs": 3},
    "a key in the wrong place": {"epochs": 3},
    "no epochs": {"search.epochs": 0},
    "a word in the place of a number": {"search.batch_size": "many"},
    "a number in the place of a list": {"seeds": 3},
    "an unknown method": {"methods": ["magic"]},
    "an unknown space": {"space": "nasbench"},
    "a data set that is not listed": {"search.dataset": "cifar"},
    "a seed twice": {"seeds": [0, 0]},
    "a stage that starts from one that does not run": {"finetune": None},
    "an origin that does not run": {"transfer": None},
    "a variant of an unknown method": {"variants": {"fast": {"method": "magic", "stages": ["search"], "changes": []}}},
    "no method": {"methods": []},
    "an unknown source of images": {"datasets.digits.source": "mnist"},
    "an unknown published genotype": {"retrain.digits.published": ["DARTS_V3"]},
    "an odd number of channels": {"search.network.channels": 3},
    "too few cells": {"search.network.cells": 2},
}
"""What is wrong with the settings of a workflow, and the keys of `tests/workflow/tiny.yaml` that are changed to it."""

COMMANDS: dict[str, Callable[[At], list[object]]] = {
    "an unknown genotype": lambda at: ["complexity", "DARTS_V3", *SIZE],
    "an operation that the space lacks": lambda at: ["complexity", at.genotype(normal=[["conv_7x7", 0]] * 8), *SIZE],
    "a genotype that is no JSON": lambda at: ["complexity", at.text("genotype.json", "normal"), *SIZE],
    "no threads": lambda at: ["complexity", "DARTS_V2", *SIZE, "--threads", 0],
    "a size below 1": lambda at: ["complexity", "DARTS_V2", *SIZE, "--classes", 0],
    "settings that are no JSON": lambda at: at.search("{"),
    "a settings file that is not there": lambda at: at.search("job.json"),
    "a data set that is not there": lambda at: at.search(data=at.folder / "data"),
    "a data set whose record is damaged": lambda at: at.search(data=at.text("data/dataset.json", "{}").parent),
    "a π for a search that starts from uniform": lambda at: [*at.search(), "--init-pi", at.folder / "pi.parquet"],
    "no ranks": lambda at: [*at.search(), "--ranks", 0],
    "a genotype that was not found": lambda at: at.retrain(at.folder / "genotype.json"),
    "a folder of images that is not there": lambda at: [
        *("prepare", "--settings", json.dumps(PHOTOS), "--output", at.folder / "data"),
    ],
    "scores that are not there": lambda at: [
        *("fit-pi", "--settings", FIT, "--scores", at.folder / "scores.parquet", "--output", at.folder / "fit"),
    ],
    "a benchmark that is no table": lambda at: [
        *("lookup", "--benchmark", at.text("table.parquet", "none"), "--output", at.folder / "out", at.folder),
    ],
    "a benchmark that is not there": lambda at: [
        *("simulate", *TABLE, "--benchmark", at.folder / "table.parquet", "--output", at.folder / "out"),
    ],
    "authors' files that are not there": lambda at: [
        *("import-benchmark", "--settings", '{"benchmark": "nasbench201"}', "--source", at.folder / "NATS"),
        *("--output", at.folder / "table.parquet"),
    ],
    "an unknown figure": lambda at: ["plot", "loss", "--output", at.folder / "loss", at.folder],
    "an unknown table": lambda at: ["tabulate", "errors", "--output", at.folder / "errors", at.folder],
    "a missing result": lambda at: [
        "table",
        "digits",
        "--output",
        at.folder / "o",
        at.folder / "result.json",
    ],
    "a damaged result": lambda at: ["checklist", "--output", at.folder / "out", at.text("result.json", '{"kind":')],
    "a run that has not ended": lambda at: ["record", at.folder, at.folder / "kept"],
    "no training to export": lambda at: ["export", at.folder, "--data", at.digits, "--output", at.folder / "out"],
    "no rounds": lambda at: ["bench", "memory", "--rounds", 0],
}
"""What is wrong with a command, and the command."""


def settings_outcome(changes: dict[str, Any]) -> Outcome:
    """How Snakemake ends with these settings: it prints the error and takes its exit code."""
    document = yaml.safe_load((ROOT / "tests/workflow/tiny.yaml").read_text())
    for path, value in changes.items():
        *parents, last = path.split(".")
        branch = document
        for name in parents:
            branch = branch[name]
        branch[last] = value
    try:
        load(document)
    except SettingsError as error:
        return Outcome(error.exit_code, "", str(error).splitlines())
    return Outcome(0, "", [])


def command_outcome(command: list[object], folder: Path) -> Outcome:
    """How the command ends, given in the folder of its case."""
    out, err = io.StringIO(), io.StringIO()
    with chdir(folder), redirect_stdout(out), redirect_stderr(err):
        code = main([str(word) for word in command])
    return Outcome(code, out.getvalue(), err.getvalue().replace(str(folder), "FOLDER").splitlines())


@pytest.fixture(scope="module")
def outcomes(tmp_path_factory) -> dict[str, tuple[str, Outcome]]:
    """Of every case what is given, in short, and how it ends."""
    digits = tmp_path_factory.mktemp("prepared") / "digits"
    prepare(PrepareJob(name="digits", dataset=Digits(source="digits")), digits)
    found = {}
    for what, changes in SETTINGS.items():
        given = ", ".join(f"{path}: {json.dumps(value)}" for path, value in changes.items())
        found[what] = (given, settings_outcome(changes))
    for number, (what, given) in enumerate(COMMANDS.items()):
        folder = tmp_path_factory.mktemp(f"case{number}")
        command = given(At(folder, digits))
        found[what] = (str(command[0]), command_outcome(command, folder))
    return found


@pytest.mark.parametrize("what", [*SETTINGS, *COMMANDS])
def test_a_bad_input_is_one_line(outcomes, what):
    code, out, lines = outcomes[what][1]
    assert code != 0
    assert out == ""
    assert len(lines) == 1, lines
    assert "Traceback" not in lines[0]


def page(outcomes: dict[str, tuple[str, Outcome]]) -> str:
    def table(title: str, cases: Iterable[str]) -> str:
        cells = ((what, f"`{outcomes[what][0]}`", outcomes[what][1].lines[0]) for what in cases)
        rows = "\n".join(f"| {' | '.join(cell.replace('|', '/') for cell in row)} |" for row in cells)
        return f"\n## {title}\n\n| what is wrong | in | message |\n| :--- | :--- | :--- |\n{rows}\n"

    return HEAD + table("Settings of a workflow", SETTINGS) + table("Commands", COMMANDS)


def test_the_page_shows_what_is_said(outcomes, request):
    found = page(outcomes)
    if request.config.getoption("--renew-pages"):
        write_atomic(PAGE, found)
    assert PAGE.read_text(encoding="utf-8") == found, "give --renew-pages"
