"""Searches that start from a π fitted to scores, and the study of proposals: what must fit together, and the plan."""

from pathlib import Path

import pytest
import yaml

from parsec.config import plan
from parsec.config.job_parts import fit_pi_job, search_job
from parsec.config.load import load
from parsec.errors import SettingsError

PRESET = Path(__file__).parents[3] / "config" / "nasbench201.yaml"


@pytest.fixture
def tree():
    return yaml.safe_load(PRESET.read_text(encoding="utf-8"))


def test_only_primed_search_gets_fitted_prior(tree):
    settings = load(tree)
    starts = {run.method: plan.initial_pi(settings, run) for run in plan.searches(settings)}
    assert starts == {"parsec": None, "primed": "fit/seed0/pi.parquet"}
    assert all(plan.parent(settings, run) is None for run in plan.searches(settings))
    plain, primed = (search_job(settings, "search", name).settings for name in ("parsec", "primed"))
    assert primed == plain.model_copy(update={"init_from": "scores"})
    assert fit_pi_job(settings).model_dump()["keep"] == 50
    assert plan.proposal_pis(settings) == ["fit/seed0/pi.parquet", "search/cifar10/parsec/seed0/trajectory.parquet"]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"scores_prior": None}, r"search\.init_from: got scores; allowed: in the stage search on nasbench201, with a"),
        ({"scores_prior": {"scores": "none"}}, r"scores_prior\.scores: got 'none'; allowed: a name under scores"),
        ({"scores_prior": {"scores": "icml", "scored": 10}}, r"scores_prior\.keep: got 50; allowed: at most scored"),
        ({"methods": ["random"]}, r"proposal: allowed: null, unless parsec searches nasbench201"),
        (
            {"variants": {"primed": {"method": "darts", "changes": {"search": {"init_from": "scores"}}}}},
            r"search\.init_from: got scores; allowed with primed: uniform",
        ),
    ],
)
def test_init_from_must_lead_somewhere(tree, changes, message):
    with pytest.raises(SettingsError, match=message):
        load(tree | changes)
