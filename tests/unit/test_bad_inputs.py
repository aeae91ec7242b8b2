"""Bad inputs: each ends with an exit code other than zero and one line, which a page of the documentation shows."""

import io
import json
from collections.abc import Callable, Iterable
from contextlib import chdir, redirect_stderr, redirect_stdout
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import yaml
from job_file import job_file
from PIL import Image
from synthetic import retrain_result, search_result

from parsec.cli import main
from parsec.config.base import as_json
from parsec.config.datasets import Digits, PrepareJob
from parsec.config.job_parts import measure_job, retrain_job, search_job
from parsec.config.load import load
from parsec.config.plan import on_this_machine
from parsec.config.training import Stack
from parsec.config.zero_cost import DartsScoreJob, Score
from parsec.data.prepare import prepare
from parsec.errors import SettingsError
from parsec.runtime.files import write_atomic
from parsec.space.published import DARTS_V2

ROOT = Path(__file__).resolve().parents[2]
PAGE = ROOT / "workflow/docs/bad-inputs.md"
TINY = load(ROOT / "tests/workflow/tiny.yaml")
HEAD = """# Bad inputs, and what comes of them

Every row is a run of `tests/unit/test_bad_inputs.py` that ended with an exit code other than 0 and this one line on
standard error; FOLDER stands for the folder of its files, DATA for a prepared data set. To write this page again:

```sh
pytest tests/unit/test_bad_inputs.py --renew-pages
```
"""
SIZE = ["--network", "cifar", "--cells", "20", "--channels", "36"]
SEARCH = as_json(search_job(TINY, "search", "parsec"))
PHOTOS = {"name": "photos", "dataset": {"source": "image_folder", "folder": "photos", "image_size": 32}}
NETWORK = Stack(stem="cifar", cells=3, channels=4)
SCORE = as_json(DartsScoreJob(space="darts", dataset="digits", network=NETWORK, architectures=5, score=Score()))
MEASURE = as_json(measure_job(TINY, "search"))
FIT = '{"space": "nasbench201", "scored": 9, "keep": 3}'
TABLE = '{"space": "nasbench201", "repeats": 1, "budget": 10}'


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

    def job(self, text: str) -> Path:
        """A file of settings."""
        return job_file(self.folder, text)

    def genotype(self, **changes: Any) -> Path:
        """The file of a genotype with some keys changed."""
        return self.text("genotype.json", json.dumps({**DARTS_V2.as_dict(), **changes}))

    @property
    def own(self) -> Path:
        """A folder of the user's with files of several kinds."""
        files = {
            "cat.png": b"\x89PNG a cat",
            "paper.csv": "year,title\n",
            "notes.txt": "shopping",
            "README.md": "# Mine\n",
        }
        for name, content in (files | {"train/holiday.jpg": b"\xff\xd8 a beach"}).items():
            self.text(f"own/{name}", content)
        return self.folder / "own"

    def result(self, kind: str = "search", **changes: Any) -> Path:
        """The `result.json` of a run."""
        document = {"search": search_result, "retrain": retrain_result}[kind](**changes)
        return self.text(f"{kind}/result.json", json.dumps(document))

    def other_seed(self) -> Path:
        """The folder of a finished search with another seed."""
        self.text("seed1/.parsec.json", '{"folder": "search", "run": "search digits/parsec/seed1"}')
        return self.text("seed1/result.json", json.dumps(search_result(seed=1))).parent

    def finished(self) -> Path:
        """The results of a workflow that has ended."""
        return self.text("results/settings.yaml", (ROOT / "tests/workflow/tiny.yaml").read_text()).parent

    def images(self, *places: str) -> Path:
        """A folder of images."""
        for place in places:
            (self.folder / "photos" / place).parent.mkdir(parents=True, exist_ok=True)
            Image.new("RGB", (32, 32)).save(self.folder / "photos" / f"{place}.png")
        return self.folder / "photos"

    def prepare(self, dataset: dict[str, Any], output: Path | None = None) -> list[object]:
        """The command that prepares a data set."""
        job = self.job(json.dumps({"name": "mine", "dataset": dataset}))
        return ["prepare", "--settings", job, "--output", output or self.folder / "data"]

    def search(
        self,
        settings: object = None,
        data: Path | None = None,
        output: Path | None = None,
        state: Path | None = None,
    ) -> list[object]:
        """The command of a search."""
        places = ["--output", output or self.folder / "output", "--state", state or self.folder / "state"]
        return [
            "search",
            "--settings",
            settings or self.job(SEARCH),
            "--seed",
            0,
            "--data",
            data or self.digits,
            *places,
        ]

    def retrain(self, genotype: object, data: Path | None = None) -> list[object]:
        """The command of a training from scratch."""
        job = self.job(as_json(retrain_job(TINY, "digits")))
        names = ["--genotype", genotype, "--origin", "search", "--method", "parsec", "--run", 0]
        return ["retrain", *self.search(job, data)[1:], *names]


def image_folder(folder: Path | str) -> dict[str, Any]:
    """The settings of a data set of images in a folder."""
    return {"source": "image_folder", "folder": str(folder), "image_size": 32}


SETTINGS: dict[str, dict[str, Any]] = {
    "a mistyped key": {"retrain.digits.epohs": 3},
    "a key in the wrong place": {"epochs": 3},
    "no epochs": {"search.epochs": 0},
    "a word in the place of a number": {"search.batch_size": "many"},
    "a number in the place of a list": {"seeds": 3},
    "an unknown method": {"methods": ["magic"]},
    "an unknown space": {"space": "nasbench"},
    "a data set that nothing registers": {"datasets.digits": {"source": "registered", "registered": "mine"}},
    "a data set that is not listed": {"search.dataset": "cifar"},
    "a seed twice": {"seeds": [0, 0]},
    "a stage that starts from one that does not run": {"finetune": None},
    "an origin that does not run": {"transfer": None},
    "a variant of an unknown method": {"variants": {"fast": {"method": "magic", "stages": ["search"], "changes": {}}}},
    "no method": {"methods": []},
    "an unknown source of images": {"datasets.digits.source": "mnist"},
    "an unknown published genotype": {"retrain.digits.published": ["DARTS_V3"]},
    "an odd number of channels": {"search.network.channels": 3},
    "too few cells": {"search.network.cells": 2},
    "markup in the title of the report": {"name": "x**\n\n.. include:: /etc/passwd"},
    "results in the folder of the images": {"datasets.mine": image_folder("photos"), "results": "photos/results"},
    "images among the results": {"datasets.mine": image_folder("results/photos")},
    "a path with a variable that is not set": {"datasets.mine": image_folder("$NOT_SET_HERE/photos")},
    "a seed that is too large": {"seeds": [2**31]},
}
"""What is wrong with the settings of a workflow, and the keys of `tests/workflow/tiny.yaml` that are changed to it."""

FILES: dict[str, str | bytes] = {
    "a key twice": "name: a\nseeds: [0]\nname: b\n",
    "aliases of aliases of aliases": "a: &a [0, 0, 0, 0, 0, 0, 0, 0, 0, 0]\n"
    + "".join(f"{new}: &{new} [{', '.join([f'*{old}'] * 10)}]\n" for old, new in pairwise("abcdefgh")),
    "a section that contains itself": "search: &a {search: *a}\n",
    "thousands of brackets": "x: " + "[" * 5000,
    "no text": b"\xff\xfe",
    "no YAML": "search: [",
}
"""What is wrong with a settings file, and the file."""

COMMANDS: dict[str, Callable[[At], list[object]]] = {
    "an unknown genotype": lambda at: ["complexity", "DARTS_V3", *SIZE],
    "an operation that the space lacks": lambda at: ["complexity", at.genotype(normal=[["conv_7x7", 0]] * 8), *SIZE],
    "a genotype that is no JSON": lambda at: ["complexity", at.text("genotype.json", "normal"), *SIZE],
    "no threads": lambda at: ["complexity", "DARTS_V2", *SIZE, "--threads", 0],
    "a size below 1": lambda at: ["complexity", "DARTS_V2", *SIZE, "--classes", 0],
    "settings that are no JSON": lambda at: at.search(at.text("job.json", "{")),
    "settings as text in the place of a file": lambda at: at.search(SEARCH),
    "a settings file that is not there": lambda at: at.search("job.json"),
    "a data set that is not there": lambda at: at.search(data=at.folder / "data"),
    "a data set whose record is damaged": lambda at: at.search(data=at.text("data/dataset.json", "{}").parent),
    "a π for a search that starts from uniform": lambda at: [*at.search(), "--init-pi", at.folder / "pi.parquet"],
    "no ranks": lambda at: [*at.search(), "--ranks", 0],
    "a genotype that was not found": lambda at: at.retrain(at.folder / "genotype.json"),
    "a folder of images that is not there": lambda at: [
        *("prepare", "--settings", at.job(json.dumps(PHOTOS)), "--output", at.folder / "data"),
    ],
    "scores that are not there": lambda at: [
        *("fit-pi", "--settings", at.job(FIT), "--scores", at.folder / "scores.parquet", "--output", at.folder / "fit"),
    ],
    "a benchmark that is no table": lambda at: [
        *("lookup", "--benchmark", at.text("table.parquet", "none"), "--output", at.folder / "out", at.folder),
    ],
    "a benchmark that is not there": lambda at: [
        *(
            "simulate",
            "--settings",
            at.job(TABLE),
            "--seed",
            0,
            "--benchmark",
            at.folder / "table.parquet",
            "--output",
            at.folder / "out",
        ),
    ],
    "authors' files that are not there": lambda at: [
        *("import-benchmark", "--settings", at.job('{"benchmark": "nasbench201"}'), "--source", at.folder / "NATS"),
        *("--output", at.folder / "table.parquet"),
    ],
    "an unknown figure": lambda at: ["figure", "loss", "--output", at.folder / "loss", at.folder],
    "an unknown table": lambda at: ["table", "errors", "--output", at.folder / "errors", at.folder],
    "a missing result": lambda at: [
        "table",
        "accuracy",
        "--dataset",
        "digits",
        "--output",
        at.folder / "o",
        at.folder / "result.json",
    ],
    "a damaged result": lambda at: ["checklist", "--output", at.folder / "out", at.text("result.json", '{"kind":')],
    "a run that has not ended": lambda at: ["record", at.folder, at.folder / "kept"],
    "no training to export": lambda at: [
        "export",
        at.folder / "run",
        "--data",
        at.digits,
        "--output",
        at.folder / "out",
    ],
    "no rounds": lambda at: ["bench", "memory", "--rounds", 0],
    "no command": lambda at: [],
    "an unknown command": lambda at: ["serch"],
    "an unknown option": lambda at: [*at.search(), "--sed", 0],
    "an option without its value": lambda at: ["complexity", "DARTS_V2", *SIZE, "--classes"],
    "a word that is none of an option's": lambda at: ["complexity", "DARTS_V2", *SIZE, "--network", "mnist"],
    "an option that is left out": lambda at: ["complexity", "DARTS_V2", *SIZE[2:]],
    "a data set for a table of another kind": lambda at: [
        *("table", "comparison", "--dataset", "digits", "--output", at.folder / "out", at.folder),
    ],
    "a seed below 0": lambda at: [*at.search(), "--seed", -1],
    "a seed that is too large ": lambda at: [*at.search(), "--seed", 10**20],
    "a method that is a path": lambda at: [*at.retrain("DARTS_V2"), "--method", "../../x"],
    "a name that is not UTF-8": lambda at: ["complexity", "\udcff.json", *SIZE],
    "a genotype nested too deeply": lambda at: ["complexity", at.text("genotype.json", '{"a":' * 9999), *SIZE],
    "a result whose stage is a path": lambda at: [
        "figure",
        "runs",
        "--output",
        at.folder,
        at.result(stage="../..").parent,
    ],
    "a result without its costs": lambda at: ["checklist", "--output", at.folder / "out", at.result(cost={})],
    "one class only": lambda at: at.prepare(image_folder(at.images("train/a/0", "train/a/1", "val/a/0"))),
    "a class with one image": lambda at: at.prepare(
        image_folder(at.images("train/a/0", "train/a/1", "train/b/0", "val/a/0", "val/b/0"))
    ),
}
"""What is wrong with a command, and the command."""

OWN: dict[str, Callable[[At], list[object]]] = {
    "checkpoints into a folder of one's own": lambda at: at.search(state=at.own),
    "results into a folder of one's own": lambda at: at.search(output=at.own),
    "results of a training into a folder of one's own": lambda at: [*at.retrain("DARTS_V2"), "--output", at.own],
    "checkpoints of a training into a folder of one's own": lambda at: [*at.retrain("DARTS_V2"), "--state", at.own],
    "checkpoints among the results": lambda at: at.search(state=at.folder / "output"),
    "results into the data set": lambda at: at.search(output=at.digits / "train"),
    "results of one seed over those of another": lambda at: at.search(output=at.other_seed()),
    "scores into a folder of one's own": lambda at: [
        *(
            "score",
            "--settings",
            at.job(SCORE),
            "--seed",
            0,
            "--data",
            at.digits,
            "--output",
            at.own,
            "--state",
            at.folder / "s",
        ),
    ],
    "a simulation into a folder of one's own": lambda at: [
        *(
            "simulate",
            "--settings",
            at.job(TABLE),
            "--seed",
            0,
            "--benchmark",
            at.folder / "table.parquet",
            "--output",
            at.own,
        ),
    ],
    "a data set into a folder of one's own": lambda at: at.prepare({"source": "digits"}, at.own),
    "a data set into the folder of its images": lambda at: at.prepare(image_folder(at.own), at.own),
    "a data set around the folder of its images": lambda at: at.prepare(image_folder(at.own / "photos"), at.own),
    "an exported network into a folder of one's own": lambda at: [
        *("export", at.folder / "run", "--data", at.digits, "--output", at.own),
    ],
    "predictions over an image": lambda at: [
        *("predict", at.folder / "run", "--data", at.digits, "--images", at.own, "--output", at.own / "cat.png"),
    ],
    "a measurement over a CSV": lambda at: [
        *("measure", "step", "--settings", at.job(MEASURE), "--data", at.digits, "--output", at.own / "paper.csv"),
    ],
    "a benchmark over notes": lambda at: ["bench", "memory", "--json", at.own / "notes.txt"],
    "a table over a README": lambda at: [
        *("table", "accuracy", "--dataset", "digits", "--output", at.own / "README", at.result(), at.result("retrain")),
    ],
    "a checklist over a README": lambda at: ["checklist", "--output", at.own / "README.md", at.result()],
    "a record beside a README": lambda at: ["record", at.finished(), at.own / "kept"],
    "a log into notes": lambda at: ["complexity", "DARTS_V2", *SIZE, "--log", at.own / "notes.txt"],
    "a folder as the file of a log": lambda at: ["complexity", "DARTS_V2", *SIZE, "--log", at.own],
    "a folder as the file of a benchmark": lambda at: ["bench", "memory", "--json", at.own],
    "results below a file": lambda at: at.search(output=at.own / "notes.txt" / "output"),
}
"""What would be written over or removed, and the command; nothing of it changes."""


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
        on_this_machine(load(document))
    except SettingsError as error:
        return Outcome(error.exit_code, "", str(error).splitlines())
    return Outcome(0, "", [])


def file_outcome(content: str | bytes, folder: Path) -> Outcome:
    """How Snakemake ends with a settings file of this content, once it has read it itself."""
    path = folder / "settings.yaml"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    try:
        load(path)
    except SettingsError as error:
        return Outcome(error.exit_code, "", str(error).replace(str(folder), "FOLDER").splitlines())
    return Outcome(0, "", [])


def command_outcome(command: list[object], places: dict[Path, str]) -> Outcome:
    """How the command ends, given in the first of the places; all are replaced by their names."""
    out, err = io.StringIO(), io.StringIO()
    with chdir(next(iter(places))), redirect_stdout(out), redirect_stderr(err):
        code = main([str(word) for word in command])
    said = err.getvalue()
    for place, name in places.items():
        said = said.replace(str(place), name)
    return Outcome(code, out.getvalue(), said.splitlines())


@pytest.fixture(scope="module")
def outcomes(tmp_path_factory) -> dict[str, tuple[str, Outcome]]:
    """Of every case what is given, in short, and how it ends."""
    digits = tmp_path_factory.mktemp("prepared") / "digits"
    prepare(PrepareJob(name="digits", dataset=Digits(source="digits")), digits)
    endings = {}
    for what, changes in SETTINGS.items():
        given = ", ".join(f"{path}: {json.dumps(value)}" for path, value in changes.items())
        endings[what] = (given, settings_outcome(changes))
    for what, content in FILES.items():
        endings[what] = ("settings.yaml", file_outcome(content, tmp_path_factory.mktemp("file")))
    for number, (what, given) in enumerate({**COMMANDS, **OWN}.items()):
        folder = tmp_path_factory.mktemp(f"case{number}")
        command = given(At(folder, digits))
        before = content_of(folder, digits)
        outcome = command_outcome(command, {folder: "FOLDER", digits: "DATA"})
        changed = {path for path, content in before.items() if content_of(folder, digits).get(path) != content}
        assert not changed, what
        endings[what] = (str(command[0]) if command else "parsec", outcome)
    return endings


def content_of(*folders: Path) -> dict[Path, bytes]:
    """Every file below some folders and what is in it."""
    return {path: path.read_bytes() for folder in folders for path in folder.rglob("*") if path.is_file()}


@pytest.mark.parametrize("what", [*SETTINGS, *FILES, *COMMANDS, *OWN])
def test_a_bad_input_is_one_line(outcomes, what):
    code, out, lines = outcomes[what][1]
    assert code != 0
    assert out == ""
    assert len(lines) == 1, lines
    assert "Traceback" not in lines[0]


def page(outcomes: dict[str, tuple[str, Outcome]]) -> str:
    def table(title: str, cases: Iterable[str]) -> str:
        cells = ((what.strip(), f"`{outcomes[what][0]}`", outcomes[what][1].lines[0]) for what in cases)
        rows = "\n".join(f"| {' | '.join(cell.replace('|', '/') for cell in row)} |" for row in cells)
        return f"\n## {title}\n\n| what is wrong | in | message |\n| :--- | :--- | :--- |\n{rows}\n"

    tables = {"Settings of a workflow": SETTINGS, "Settings files": FILES, "Commands": COMMANDS}
    tables |= {"Files and folders of one's own, which stay as they are": OWN}
    return HEAD + "".join(table(title, cases) for title, cases in tables.items())


def test_the_page_shows_what_is_said(outcomes, request):
    text = page(outcomes)
    if request.config.getoption("--renew-pages"):
        write_atomic(PAGE, text)
    assert PAGE.read_text(encoding="utf-8") == text, "give --renew-pages"
