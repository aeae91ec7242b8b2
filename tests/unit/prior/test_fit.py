"""π fitted to architectures, against sums; and to the best of scores, as a file that a search starts from."""

import json

import numpy as np
import pytest
import torch
from job_file import job_file

from parsec.cli import main
from parsec.config.zero_cost import FitPiJob
from parsec.errors import UserError
from parsec.prior.distribution import Prior, fit
from parsec.prior.parquet import read_metadata, read_prior
from parsec.records.parquet import SCORES_FILE
from parsec.space.darts import draw
from parsec.space.nasbench201 import architectures
from parsec.space.spaces import DARTS, NASBENCH201
from parsec.zero_cost.fit_prior import fit_pi

FACTORS = NASBENCH201.factors("separate")
JOB = FitPiJob(space="nasbench201", keep=5)
FAILED = 7


@pytest.fixture
def chosen():
    return np.random.default_rng(0).integers(5, size=(40, 6)) // 2


def test_probabilities_are_shares_of_the_counts(chosen):
    shares = fit(chosen, FACTORS, 2.0).exp()
    for place, column in enumerate(chosen.T):
        expected = [((column == choice).sum() + 2.0) / (40 + 10.0) for choice in range(5)]
        assert shares[place].tolist() == pytest.approx(expected, abs=1e-15)


def test_fitted_prior_maximises_likelihood(chosen):
    """At the fitted logits the gradient of the likelihood is zero, and the likelihood is concave in them."""
    prior = Prior("separate", fit(chosen, FACTORS, 1e-9), NASBENCH201)
    total = prior.log_prob(torch.from_numpy(chosen)).sum()
    (gradient,) = torch.autograd.grad(total, prior.logits)
    assert gradient.abs().max() < 1e-6
    for seed in range(5):
        noise = 0.1 * torch.randn(6, 5, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
        other = Prior("separate", prior.logits + noise, NASBENCH201)
        assert other.log_prob(torch.from_numpy(chosen)).sum() < total


def test_factors_of_different_sizes_are_padded():
    factors = DARTS.factors("separate")
    chosen = np.array([DARTS.encode(draw(np.random.default_rng(i)), "separate") for i in range(30)])
    prior = Prior("separate", fit(chosen, factors, 0.5))
    assert (prior.logits[~prior.mask] == 0).all()
    assert prior.marginals()[0, :2].tolist() == pytest.approx(np.bincount(chosen[:, 0], minlength=2) / 31 + 0.5 / 31)


def test_nothing_to_fit_is_refused(chosen):
    for indices, count in ((chosen[:0], 1.0), (chosen, -1.0), (chosen + 3, 1.0)):
        with pytest.raises(ValueError, match="fitting π needs"):
            fit(indices, FACTORS, count)


@pytest.fixture
def scores(tmp_path):
    """Scores that fall with the number of the architecture; number 7 has none."""

    def made(texts, space="nasbench201"):
        rows = [
            {
                "architecture": text,
                "index": index,
                "score": None if index == FAILED else 100.0 - index,
                "status": "failed" if index == FAILED else "scored",
                "reason": "singular" if index == FAILED else None,
                "seconds": 0.5,
            }
            for index, text in enumerate(texts)
        ]
        settings = {"space": space, "dataset": "digits", "score": {"kind": "relu_log_determinant", "batch_size": 8}}
        path = tmp_path / "scores.parquet"
        cost = {"device_seconds": 99.0, "peak_memory_bytes": 7, "accelerator": False}
        SCORES_FILE.write(path, rows[::-1], {"seed": 3, "provenance": {"settings": settings}, "cost": cost})
        return path

    return made


def test_command_fits_best_and_records_cost(scores, tmp_path):
    archs = architectures()[:30]
    path = scores(map(str, archs))
    given = ["--settings", str(job_file(tmp_path, JOB.model_dump_json())), "--scores", str(path)]
    assert main(["fit-pi", *given, "--output", str(tmp_path / "a")]) == 0
    best = np.array([NASBENCH201.encode(each, "separate") for each in archs[:5]])
    prior = read_prior(tmp_path / "a/pi.parquet", "separate", "nasbench201")
    assert torch.equal(prior.logits, fit(best, FACTORS, 1.0))
    assert read_metadata(tmp_path / "a/pi.parquet")["stage"] == "scores"
    document = json.loads((tmp_path / "a/fit.json").read_text())
    assert document["kept"] == [str(each) for each in archs[:5]]
    assert (document["scored"], document["failed"], document["forward_images"]) == (30, 1, 240)
    assert (document["cost"]["device_seconds"], document["cost"]["peak_memory_bytes"]) == (15.0, 7)
    assert main(["fit-pi", *given, "--output", str(tmp_path / "b")]) == 0
    assert (tmp_path / "a/pi.parquet").read_bytes() == (tmp_path / "b/pi.parquet").read_bytes()


def test_subset_is_charged_and_failures_dropped(scores, tmp_path):
    path = scores(map(str, architectures()[:12]))
    fit_pi(JOB.model_copy(update={"scored": 6, "keep": 2}), path, tmp_path / "part")
    assert json.loads((tmp_path / "part" / "fit.json").read_text())["cost"]["device_seconds"] == 3.0
    fit_pi(JOB.model_copy(update={"keep": 11}), path, tmp_path / "all")
    assert str(architectures()[FAILED]) not in json.loads((tmp_path / "all" / "fit.json").read_text())["kept"]
    with pytest.raises(UserError, match="11 architectures have a score, fewer than keep"):
        fit_pi(JOB.model_copy(update={"keep": 12}), path, tmp_path / "none")
    with pytest.raises(UserError, match="12 architectures, fewer than scored"):
        fit_pi(JOB.model_copy(update={"scored": 13}), path, tmp_path / "none")


def test_fit_handles_darts_and_checks_space(scores, tmp_path):
    texts = [json.dumps(draw(np.random.default_rng(i)).as_dict()) for i in range(20)]
    path = scores(texts, "darts")
    with pytest.raises(UserError, match="scores of darts, but the settings want nasbench201"):
        fit_pi(JOB, path, tmp_path / "out")
    fit_pi(JOB.model_copy(update={"space": "darts"}), path, tmp_path / "out")
    assert read_prior(tmp_path / "out" / "pi.parquet", "separate", "darts").entropy() < 50
