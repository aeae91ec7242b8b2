"""Tiny trainings in forked processes that anything may happen to; torch is imported once, so they start at once."""

import json
import multiprocessing
import os
import sys
import traceback
from dataclasses import dataclass, field
from pathlib import Path

import pytest
import torch
from job_file import job_file

from parsec import cli
from parsec.config.base import Compute, as_json
from parsec.config.datasets import Digits, PrepareJob
from parsec.config.retrain import RetrainAugmentation, RetrainJob, RetrainStage
from parsec.config.search import Estimator, PriorOptimizer, Ranking, SearchJob, SearchOptimizer, SearchStage
from parsec.config.training import Augmentation, Optimizer, Stack
from parsec.data.prepare import prepare
from parsec.records.code_hash import code_fingerprint
from parsec.retrain import run as retrain_run
from parsec.retrain.trainer import Retrainer
from parsec.search import run as search_run
from parsec.search.parsec import Parsec

FORK = multiprocessing.get_context("fork")
COMPUTE = Compute(device="cpu", precision="float32")
TINY = {"network": Stack(cells=3, channels=2), "batch_size": 16}
SEARCH = SearchJob(
    stage="search",
    space="darts",
    method="parsec",
    settings=SearchStage(
        dataset="digits",
        epochs=4,
        train_images=48,
        validation_images=48,
        estimator=Estimator(samples=2),
        ranking=Ranking(architectures=3),
        weights=SearchOptimizer(learning_rate=0.1),
        prior=PriorOptimizer(learning_rate=0.1),
        augmentation=Augmentation(padding=1, flip=False),
        **TINY,
    ),
    compute=COMPUTE,
)
RETRAIN = RetrainJob(
    dataset="digits",
    space="darts",
    settings=RetrainStage(
        origins=(),
        runs=(0,),
        epochs=4,
        train_images=48,
        optimizer=Optimizer(learning_rate=0.1),
        augmentation=RetrainAugmentation(padding=1, flip=False, cutout=2),
        **TINY,
    ),
    compute=COMPUTE,
)
JOBS = {
    "search": (SEARCH, ()),
    "retrain": (RETRAIN, ("--genotype", "DARTS_V2", "--origin", "published", "--method", "DARTS_V2", "--run", 0)),
}
"""Settings of both trainings, of 12 steps each, and what their commands ask for besides."""


@dataclass(frozen=True)
class Run:
    """A training by the command line, in a process of its own."""

    verb: str
    data: Path
    output: Path
    state: Path
    said: Path
    changes: dict = field(default_factory=dict)
    """Settings of the stage that differ from the tiny ones."""

    @property
    def command(self) -> list[str]:
        job, names = JOBS[self.verb]
        job = job.model_copy(update={"settings": job.settings.model_copy(update=self.changes)})
        start = [self.verb, "--settings", job_file(self.said.parent, as_json(job)), "--seed", 0, *names]
        return [str(word) for word in (*start, "--data", self.data, "--output", self.output, "--state", self.state)]

    def start(self, *options, before=lambda: None, checkpoint_seconds=0.0):
        """Fork; in the child call `before`, then do what the command line does."""
        process = FORK.Process(target=self._child, args=(options, before, checkpoint_seconds))
        process.start()
        return process

    def _child(self, options, before, checkpoint_seconds):
        sys.stderr = self.said.open("w", buffering=1)
        os.environ["PARSEC_CHECKPOINT_SECONDS"] = str(checkpoint_seconds)
        try:
            before()
            code = cli.main([*self.command, *options])
        except BaseException:
            traceback.print_exc()
            code = 99
        os._exit(code)

    def finish(self, *options, **given):
        """Exit code of the run, and the lines that it said."""
        process = self.start(*options, **given)
        process.join(120)
        return process.exitcode, self.said.read_text().splitlines()

    def contents(self):
        """What must be equal between equal trainings, by file: their bytes, times left out."""
        return {file.name: essence(file) for file in self.output.glob("[!.]*")}


def essence(file):
    """The content of an output without times; fails if it is not whole."""
    if file.suffix == ".jsonl":
        text = file.read_text()
        assert text.endswith("\n")
        return [without_times(json.loads(line)) for line in text.splitlines()]
    if file.name == "result.json":
        result = json.loads(file.read_text())
        return {key: result.get(key) for key in ("genotype", "entropy", "mode_accuracy", "test", "train", "complexity")}
    return file.read_bytes()


def without_times(row):
    return {key: value for key, value in row.items() if "second" not in key}


@pytest.fixture(scope="session")
def digits(tmp_path_factory):
    """Folder of the prepared digits."""
    torch.set_num_threads(1)
    folder = tmp_path_factory.mktemp("digits")
    prepare(PrepareJob(name="digits", dataset=Digits(source="digits")), folder)
    # What children would otherwise import and work out again, each of them; the optimiser imports torch's compiler.
    torch.optim.SGD([torch.zeros(1)])
    for module in (search_run, retrain_run):
        code_fingerprint(module.__name__)
    return folder


@pytest.fixture
def at_step():
    """A function verb, step, action → what a child calls before it starts, to act after that step."""

    def arm(verb, step, action):
        trainer = {"search": Parsec, "retrain": Retrainer}[verb]

        def before():
            advance = trainer.advance
            trainer.advance = lambda self: (action() if self.step == step else None, advance(self))[1]

        return before

    return arm


@pytest.fixture
def make_run(digits, tmp_path):
    """A function verb, name → a training with its output and state below a temporary folder, or below those given."""

    def make(verb, name="run", output=tmp_path, state=tmp_path / "state", data=digits, **changes):
        return Run(verb, data, output / name, state / name, tmp_path / f"{name}.stderr", changes)

    return make


@pytest.fixture(scope="session")
def undisturbed(digits, tmp_path_factory):
    """A function verb → what that training leaves when nothing happens to it."""
    contents_of = {}

    def contents(verb):
        if verb not in contents_of:
            base = tmp_path_factory.mktemp("undisturbed")
            run = Run(verb, digits, base / "run", base / "state", base / "stderr")
            code, said = run.finish()
            assert code == 0, said
            assert not run.state.exists()
            contents_of[verb] = run.contents()
        return contents_of[verb]

    return contents
