"""Scores on the spaces besides NAS-Bench-201: what is scored, on which networks, and what is refused."""

import json

import numpy as np
import pandas as pd
import pytest
import torch
from job_file import job_file
from torch import nn

from parsec.cli import main
from parsec.config.base import Compute, Running, as_json
from parsec.config.training import Stack
from parsec.config.zero_cost import DartsScoreJob, NasBench101ScoreJob, Score, ScoreJob
from parsec.data.dataset import read_info
from parsec.errors import CheckpointError, SettingsError
from parsec.network.nasbench101 import BenchmarkNetwork
from parsec.records.parquet import SCORES_FILE
from parsec.runtime.rng import generator
from parsec.space.darts import draw
from parsec.space.nasbench101 import from_columns, neighbours, parse
from parsec.space.spaces import from_text
from parsec.zero_cost.candidates import candidate_set
from parsec.zero_cost.naswot import draw_weights, log_determinant, relu_kernel
from parsec.zero_cost.score import Scoring, minibatch, score

COMMON = {"dataset": "digits", "score": Score(batch_size=8), "compute": Compute(device="cpu")}
ALWAYS = Running(checkpoint_seconds=0.0, progress_seconds=600.0)
CHAIN = from_columns("0100001000010000", "input,conv3x3-bn-relu,conv1x1-bn-relu,output")


def darts(count=3, **changes):
    network = Stack(cells=3, channels=2)
    return DartsScoreJob(space="darts", network=network, architectures=count, **{**COMMON, **changes})


def nasbench101(count=3):
    return NasBench101ScoreJob(space="nasbench101", architectures=count, channels=4, modules=1, **COMMON)


@pytest.fixture
def table(tmp_path):
    """A table of NAS-Bench-101 without any accuracy, in which the first architecture stands twice."""
    cells = [CHAIN, *neighbours(CHAIN)[:5], CHAIN]
    columns = {"adjacency": [each.adjacency for each in cells], "operations": [",".join(e.operations) for e in cells]}
    pd.DataFrame(columns).to_parquet(tmp_path / "table.parquet", index=False)
    return tmp_path / "table.parquet"


@pytest.fixture
def start(digits, tmp_path):
    """A function name, job, table → rows and `about` of a scoring."""

    def run(name, job, table=None, seed=0):
        score(job, digits, seed, tmp_path / name, tmp_path / "state" / name, ALWAYS, table)
        return SCORES_FILE.read(tmp_path / name / "scores.parquet")

    return run


def test_nasbench201_settings_keep_their_keys():
    """Scorings that began before there were other spaces go on."""
    text = as_json(ScoreJob(space="nasbench201", dataset="cifar10", architectures=None))
    assert sorted(json.loads(text)) == ["architectures", "compute", "dataset", "score", "space"]


@pytest.mark.parametrize(("job", "read"), [(darts, from_text), (nasbench101, parse)])
def test_larger_samples_extend_smaller_ones(start, job, read):
    few, more = (start(name, job(count))[0] for name, count in (("a", 2), ("b", 5)))
    assert few.drop(columns="seconds").equals(more.drop(columns="seconds")[:2])
    assert more.status.tolist() == ["scored"] * 5
    assert len({read(text).canonical() for text in more.architecture}) == 5
    other, _ = start("c", job(2), seed=1)
    assert set(other.architecture).isdisjoint(few.architecture)


def test_table_architectures_keep_their_indices(start, table):
    rows, about = start("a", nasbench101(None), table)
    cells = [CHAIN, *neighbours(CHAIN)[:5]]
    assert rows["index"].tolist() == list(range(6))
    assert rows.architecture.tolist() == [str(each) for each in cells]
    assert about["table"]["file"] == "table.parquet"
    some, _ = start("b", nasbench101(4), table)
    assert some.score.tolist() == rows.score[some["index"]].tolist()


def test_score_is_that_of_configured_network(start, digits, table):
    job = nasbench101(None)
    rows, _ = start("a", job, table)
    network = BenchmarkNetwork(CHAIN, 1, channels=4, modules=1)
    draw_weights(network, "default", generator(0, "weights", 0))
    images = minibatch(job, digits, read_info(digits), 0, torch.device("cpu"))
    expected = log_determinant(relu_kernel(network.to(memory_format=torch.channels_last), images).numpy())
    assert rows.score[0] == pytest.approx(expected)


def test_darts_supports_all_scores_and_initialisations(start):
    for kind in ("relu_log_determinant", "jacobian_eigenvalues"):
        rows, _ = start(kind, darts(2, score=Score(batch_size=8, kind=kind)))
        assert rows.status.tolist() == ["scored"] * 2
    candidates = candidate_set(darts(), 0, None)
    network = candidates.network(candidates[0], 1, 8)
    draw_weights(network, "identity", torch.Generator().manual_seed(0))
    depthwise = [layer.weight for layer in network.modules() if isinstance(layer, nn.Conv2d) and layer.groups > 1]
    assert depthwise
    assert all((weight.flatten(1).sum(1) == 1).all() for weight in depthwise)


@pytest.fixture
def interrupted(start, monkeypatch):
    """A function name, job, table → a scoring stopped after its first architecture."""
    original = Scoring.advance

    def limited(self):
        if self.step == 1:
            raise KeyboardInterrupt
        return original(self)

    def run(name, job, table=None):
        with monkeypatch.context() as patch:
            patch.setattr(Scoring, "advance", limited)
            with pytest.raises(KeyboardInterrupt):
                start(name, job, table)

    return run


@pytest.mark.parametrize("job", [darts, nasbench101])
def test_stopped_scoring_of_draws_resumes(start, interrupted, job):
    expected, _ = start("undisturbed", job())
    interrupted("a", job())
    rows, about = start("a", job())
    assert rows.drop(columns="seconds").equals(expected.drop(columns="seconds"))
    assert about["cost"]["restarts"] == 1


def test_state_of_another_table_is_refused(start, interrupted, table):
    interrupted("a", nasbench101(None), table)
    pd.read_parquet(table)[:3].to_parquet(table, index=False)
    with pytest.raises(CheckpointError, match=r"changed since: table\.architectures_hash;"):
        start("a", nasbench101(None), table)


def test_what_cannot_be_chosen_is_refused(start, table):
    with pytest.raises(SettingsError, match="needs a table"):
        start("a", nasbench101(None))
    with pytest.raises(SettingsError, match="at most the table's 6"):
        start("b", nasbench101(7), table)
    with pytest.raises(SettingsError, match="takes no table"):
        start("c", darts(), table)


@pytest.mark.parametrize("job", [darts, nasbench101])
def test_the_verb_takes_every_space(digits, tmp_path, job):
    places = ["--data", digits, "--output", tmp_path / "a", "--state", tmp_path / "s"]
    settings = job_file(tmp_path, as_json(job(1)))
    assert main([str(part) for part in ("score", "--settings", settings, "--seed", "0", *places)]) == 0
    assert len(SCORES_FILE.read(tmp_path / "a" / "scores.parquet")[0]) == 1


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"space": "resnet"}, "space"),
        ({"channels": 16}, "channels"),
        ({"network": None}, "network"),
    ],
)
def test_settings_of_another_space_are_refused(digits, tmp_path, capsys, change, message):
    settings = {"space": "darts", "dataset": "digits", "network": {"cells": 3, "channels": 2}, "architectures": 1}
    places = ["--data", str(digits), "--output", str(tmp_path / "a"), "--state", str(tmp_path / "s")]
    path = job_file(tmp_path, json.dumps({**settings, **change}))
    assert main(["score", "--settings", str(path), "--seed", "0", *places]) == 2
    said = capsys.readouterr().err
    assert message in said
    assert said.count("\n") == 1


def test_darts_draws_are_uniform():
    rng = np.random.default_rng(0)
    edges = [edge for _ in range(300) for cell in draw(rng) for node in cell for edge in node]
    counts = pd.Series([edge.primitive for edge in edges]).value_counts()
    assert len(counts) == 7
    # 4,800 draws: a standard deviation is 24.
    assert (counts - 4_800 / 7).abs().max() < 100
    first = [draw(np.random.default_rng(1)).normal[0][0].input for _ in range(2)]
    assert first[0] == first[1]
    assert {edge.input for edge in edges} == set(range(5))
