"""Searches with a predictor where the space is too large to be known: a score is computed for whatever is asked for."""

import numpy as np
import pytest
from job_file import job_file
from scipy.stats import spearmanr

from parsec.cli import main
from parsec.config.base import Running, as_json
from parsec.config.datasets import Digits, PrepareJob
from parsec.config.tabular import DartsPredictorJob, Pool, Predictor
from parsec.config.training import Stack
from parsec.config.zero_cost import DartsScoreJob, Score
from parsec.data.prepare import prepare
from parsec.errors import PriorError, UserError
from parsec.predictor.candidates import KINDS, VERTICES, Darts, propose
from parsec.predictor.search import read_run
from parsec.prior.distribution import Prior
from parsec.prior.parquet import write_prior
from parsec.report.figures import predictor as figure
from parsec.report.tables import predictor
from parsec.space.darts import genotype
from parsec.space.spaces import DARTS, from_text
from parsec.zero_cost.score import read_sample, score, scorer

SELDOM = Running(checkpoint_seconds=600.0, progress_seconds=600.0)
POOLS = (Pool(kind="uniform", size=8), Pool(kind="smart", size=8), Pool(kind="prior", size=8))
JOB = DartsPredictorJob(problem="darts", scores="small", pools=POOLS, start=4, rounds=1, per_round=2, repeats=2,
                        block=2, predictor=Predictor(members=2, width=4, depth=1, steps=5))  # fmt: skip


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    folder = tmp_path_factory.mktemp("digits")
    prepare(PrepareJob(name="digits", dataset=Digits(source="digits")), folder)
    return folder


@pytest.fixture(scope="module")
def scores(data, tmp_path_factory):
    folder, network = tmp_path_factory.mktemp("scores"), Stack(stem="cifar", cells=3, channels=2)
    job = DartsScoreJob(space="darts", dataset="digits", network=network, architectures=25, score=Score(batch_size=16))
    score(job, data, 0, folder / "scores", folder / "state", SELDOM)
    return folder / "scores" / "scores.parquet"


@pytest.fixture(scope="module")
def pi(tmp_path_factory):
    """A π that is sure of the first choice of every factor but one."""
    prior = Prior("separate", None)
    with np.errstate(all="ignore"):
        prior.logits.data[1:, 0] = 40.0
    path = tmp_path_factory.mktemp("pi") / "pi.parquet"
    write_prior(path, prior, {"space": "darts"})
    return path


@pytest.fixture(scope="module")
def run(data, scores, pi, tmp_path_factory):
    folder = tmp_path_factory.mktemp("run")
    given = ["--settings", str(job_file(folder, as_json(JOB))), "--seed", "0", "--benchmark", str(scores)]
    places = ["--output", str(folder / "out"), "--state", str(folder / "state")]
    assert main(["predictor", *given, "--data", str(data), "--pi", str(pi), *places]) == 0
    return folder / "out"


def test_rescoring_agrees_with_the_sample(scores, data):
    """Weights differ, images and networks do not: ranks agree."""
    import pandas as pd

    rows = pd.read_parquet(scores).sort_values("index")
    worth = scorer(scores, data)
    again = [worth(from_text(text)) for text in rows["architecture"]]
    assert spearmanr(again, rows["score"]).statistic > 0.5
    assert [worth(from_text(text)) for text in rows["architecture"][:3]] == again[:3]


def test_every_search_sees_true_scores(run, scores, data):
    job, rows, _ = read_run(run)
    assert job == JOB
    worth = scorer(scores, data)
    for row in rows.iloc[::5].itertuples():
        assert worth(from_text(row.architecture)) == row.accuracy
    assert (rows.groupby(["pool", "repeat"]).architecture.nunique() == 6).all()


def test_prior_pool_holds_prior_draws(pi):
    problem = Darts(lambda _: 0.0, np.zeros(3))
    prior = np.zeros((len(problem.choices), max(problem.choices)))
    prior[:, 0] = 1.0
    prior[1, :7] = 1 / 7
    proposed = propose(problem, Pool(kind="prior", size=7), {}, None, "mean", np.random.default_rng(0), prior)
    sure = [problem.of_choices([0, place, *[0] * (len(problem.choices) - 2)]) for place in range(7)]
    assert sorted(proposed) == sorted(sure)
    more = propose(problem, Pool(kind="prior", size=9), {}, None, "mean", np.random.default_rng(0), prior)
    assert set(sure) < set(more), "uniform draws fill what π is too sure for"
    assert len(set(more)) == 9


def test_an_architecture_is_asked_for_once():
    asked = []
    problem = Darts(lambda arch: asked.append(arch) or 1.0, np.zeros(3))
    arch = problem.draw(1, np.random.default_rng(0))[0]
    assert problem.accuracy(arch) == problem.accuracy(arch) == 1.0
    assert len(asked) == 1


def test_graphs_follow_the_cells():
    cell = [("sep_conv_3x3", 0), ("skip_connect", 1)] * 3 + [("max_pool_3x3", 2), ("sep_conv_5x5", 4)]
    arch = genotype(cell, [("skip_connect", 0)] * 8)
    adjacency, features = (part[0] for part in Darts(lambda _: 0.0, np.zeros(1)).graphs([arch]))
    assert adjacency.shape == (2 * VERTICES, 2 * VERTICES)
    assert (features.sum(1) == 1).all()
    # The last node's two edges are vertices 8 and 9: they read nodes 0 (vertices 2, 3) and 2 (vertices 6, 7).
    assert np.flatnonzero(adjacency[:, 8]).tolist() == [2, 3]
    assert np.flatnonzero(adjacency[:, 9]).tolist() == [6, 7]
    assert np.flatnonzero(adjacency[:, 10]).tolist() == list(range(2, 10))
    assert KINDS[int(features[9].argmax())] == "sep_conv_5x5"
    assert not adjacency[:VERTICES, VERTICES:].any()
    assert features[VERTICES + 2].argmax() == len(KINDS) + KINDS.index("skip_connect")


def test_choices_are_those_of_the_space():
    problem = Darts(lambda _: 0.0, np.zeros(1))
    arch = problem.draw(1, np.random.default_rng(1))[0]
    assert problem.of_choices(DARTS.encode(arch, "separate")) == arch


def test_reports_distinguish_sample_from_space(run, scores):
    table, numbers, _ = predictor.make_gain_table([run, scores])
    assert set(numbers.quality) == {"top 1 %", "top 0.1 %"}
    assert any("stand for it" in note for note in table.notes)
    claims = predictor.make_claims_table([run, scores]).data
    assert set(claims.difference) == {"random − uniform-8", "uniform-8 − smart-8", "uniform-8 − prior-8"}
    axes = figure.plot_predictor([run, scores]).figure.axes[0]
    assert (axes.get_xlabel(), axes.get_ylabel()) == ("Scored architectures", "Best score so far")


def test_what_is_missing_is_told(scores, data, tmp_path):
    from parsec.predictor.search import Sources, search_repeatedly

    for sources, error, words in (
        (Sources(scores), UserError, "needs --data"),
        (Sources(scores, data), PriorError, "needs --pi"),
        (Sources(tmp_path / "none.parquet", data), UserError, "none.parquet"),
    ):
        with pytest.raises(error, match=words):
            search_repeatedly(JOB, sources, 0, tmp_path / "a", tmp_path / "s", SELDOM)
    assert len(read_sample(scores)[0]) == 25
