"""The stage `propose`: what it writes, that it goes on where it was stopped, and what it refuses."""

import os
import signal

import numpy as np
import pandas as pd
import pytest
import torch

from parsec.cli import main
from parsec.config.base import Running
from parsec.config.tabular import Predictor, ProposalJob
from parsec.errors import Interrupted, PriorError
from parsec.predictor.candidates import read_prior_tables
from parsec.predictor.proposal import Blocks, Weighing, mean_log_likelihood, propose
from parsec.prior.distribution import Prior
from parsec.prior.parquet import write_prior, write_trajectory
from parsec.records.parquet import PROPOSALS_FILE
from parsec.space.spaces import NASBENCH201

ALWAYS = Running(checkpoint_seconds=0.0, progress_seconds=600.0)
JOB = ProposalJob(moments=(0.0, 1.0), trained=(40,), betas=(0.0, 1.0), defences=(0.0, 0.2), samples=(4, 16),
                  images=(8,), repeats=4, block=2, predictor=Predictor(members=2, steps=60))  # fmt: skip


@pytest.fixture
def trajectory(tmp_path):
    """Three epochs, from uniform to a π that has begun to choose."""
    noise = torch.randn(6, 5, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    about = {"space": "nasbench201", "stage": "search", "method": "parsec", "seed": "0", "epoch": "2"}
    history = [(epoch, 10 * epoch, 0.5 * epoch * noise) for epoch in range(3)]
    write_trajectory(tmp_path / "trajectory.parquet", "separate", history, about, NASBENCH201)
    write_prior(tmp_path / "pi.parquet", Prior("separate", noise, NASBENCH201), about | {"stage": "scores"})
    return tmp_path / "trajectory.parquet"


@pytest.fixture
def start(table, trajectory, tmp_path):
    def run(name, seed=0):
        propose(JOB, table, [trajectory], seed, tmp_path / name, tmp_path / f"{name}-state", ALWAYS)
        return tmp_path / name / "proposal.parquet"

    return run


def test_search_files_yield_priors_per_epoch(trajectory):
    files = [trajectory.with_name("pi.parquet"), trajectory]
    priors = read_prior_tables(files, (0.0, 0.5, 0.6, 1.0))
    search = "search parsec, seed 0, epoch"
    assert [each.name for each in priors] == ["scores parsec, seed 0", *(f"{search} {epoch}" for epoch in range(3))]
    for each in priors:
        assert float(each.log_prior.exp().sum()) == pytest.approx(1.0)
        assert float(-(each.log_prior.exp() * each.log_prior).sum()) == pytest.approx(each.entropy)
    assert priors[1].entropy == pytest.approx(np.log(15_625))
    with pytest.raises(PriorError, match="given twice"):
        read_prior_tables([*files, trajectory], (0.0,))


def test_predictor_improves_weights_and_gradient(start, problem):
    rows, about = PROPOSALS_FILE.read(start("a"))
    assert len(rows) == 2 * 2 * 2 * 2 * 4
    assert about["provenance"]["settings"] == JOB.model_dump(mode="json")
    means = rows[rows.samples == 16].groupby(["beta", "defence"])[["share", "limit", "error"]].mean()
    assert means.share[1.0, 0.2] > means.share[0.0, 0.0]
    assert means.limit[1.0, 0.2] > means.limit[0.0, 0.0]
    assert means.error[1.0, 0.2] < means.error[0.0, 0.0]
    # Without strength q is π, whatever the defence.
    plain = rows[rows.beta == 0.0].set_index(["prior", "samples", "repeat", "defence"]).share.unstack()
    assert plain[0.0].to_numpy() == pytest.approx(plain[0.2].to_numpy())
    # Under the uniform π the limit is that of the likelihoods alone.
    likelihood = np.exp(8 * mean_log_likelihood(problem.reached, 10))
    limit = rows[(rows.beta == 0.0) & rows.prior.str.endswith("epoch 0")].limit
    assert limit.to_numpy() == pytest.approx(likelihood.mean() ** 2 / (likelihood**2).mean())


def test_gradient_error_falls_as_inverse_samples(trajectory, problem):
    """It falls like 1/K under π and under a defended proposal: both have the exact gradient for their limit."""
    job = JOB.model_copy(update={"samples": (8, 200), "images": (1,), "defences": (0.2,)})
    (prior,) = read_prior_tables([trajectory], (1.0,))
    rows = pd.DataFrame(Weighing(job, 0, problem).rows(prior, 40, range(4)))
    means = rows.groupby(["beta", "samples"]).error.mean().unstack()
    assert (means[8] / means[200]).to_numpy() == pytest.approx(25, rel=0.6)


def test_rows_are_reproducible_after_a_stop(start, monkeypatch):
    whole, other = PROPOSALS_FILE.read(start("a"))[0], PROPOSALS_FILE.read(start("b", 1))[0]
    assert not whole.equals(other)
    advance, done = Blocks.advance, []

    def stopping(self):
        done.append(self.step)
        if len(done) == 2:
            os.kill(os.getpid(), signal.SIGTERM)
        return advance(self)

    monkeypatch.setattr(Blocks, "advance", stopping)
    with pytest.raises(Interrupted):
        start("c")
    assert PROPOSALS_FILE.read(start("c"))[0].equals(whole)
    assert done == [0, 1, 2, 3]


def test_command_writes_proposal_and_requires_baseline(table, trajectory, tmp_path):
    (tmp_path / "job.json").write_text(JOB.model_copy(update={"moments": (1.0,), "repeats": 1}).model_dump_json())
    given = ["--settings", str(tmp_path / "job.json"), "--benchmark", str(table), str(trajectory)]
    assert (
        main(["propose", *given, "--seed", "0", "--output", str(tmp_path / "o"), "--state", str(tmp_path / "s")]) == 0
    )
    assert (tmp_path / "o/proposal.parquet").exists()
    with pytest.raises(ValueError, match="a list with 0, which is π"):
        ProposalJob(betas=(1.0,))
