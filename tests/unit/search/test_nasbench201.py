"""PARSEC on NAS-Bench-201: the same files as on DARTS, and an architecture of that space."""

import json
from dataclasses import replace

import pandas as pd
import pytest
from searches import advance

from parsec.config.base import SEARCH_FILES, Compute
from parsec.config.search import Estimator
from parsec.errors import PriorError, SettingsError
from parsec.network.nasbench201 import network_cost
from parsec.network.spaces import multiply_adds
from parsec.prior.parquet import read_metadata, read_prior
from parsec.runtime.outputs import MARKER
from parsec.search.parsec import Parsec
from parsec.space.spaces import NASBENCH201, from_text

SPACE = "nasbench201"


def test_files_of_a_search(start):
    folder = start("a", space=SPACE)
    assert {path.name for path in folder.iterdir()} == {MARKER, *SEARCH_FILES}
    prior = read_prior(folder / "pi.parquet", "separate", SPACE)
    result = json.loads((folder / "result.json").read_text())
    assert prior.logits.shape == (6, 5)
    assert read_metadata(folder / "pi.parquet")["space"] == result["space"] == SPACE
    genotype = from_text((folder / "genotype.json").read_text())
    assert genotype == prior.mode()
    assert result["genotype"] == genotype.as_dict()
    assert result["complexity"] == network_cost(genotype, 10, 8, cells=3, channels=2)._asdict()
    rows = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    last = next(row for row in reversed(rows) if row["event"] == "epoch")
    assert set(last["operations"]) == {"cell"}
    assert sum(last["operations"]["cell"].values()) == pytest.approx(6)
    frame = pd.read_parquet(folder / "trajectory.parquet")
    assert frame[frame.epoch == 2].logit.tolist() == prior.logits.flatten().tolist()


def test_finetune_needs_prior_of_space(start):
    given = start("a", space=SPACE) / "pi.parquet"
    second = start("b", stage="finetune", init_from="search", init_pi=given, space=SPACE)
    frame, before = pd.read_parquet(second / "trajectory.parquet"), read_prior(given, "separate", SPACE)
    assert frame[frame.epoch == 0].logit.tolist() == before.logits.flatten().tolist()
    with pytest.raises(PriorError, match="space 'nasbench201', but 'darts' is needed"):
        start("c", stage="finetune", init_from="search", init_pi=given)


@pytest.mark.parametrize("executor", ["grouped", "fused"])
def test_darts_executors_fail(make_task, executor):
    task = make_task(space=SPACE)
    job = task.job.model_copy(update={"compute": Compute(device="cpu", precision="float32", executor=executor)})
    with pytest.raises(SettingsError, match=rf"compute\.executor: {executor} runs the space darts only") as refused:
        Parsec(replace(task, job=job))
    assert "\n" not in str(refused.value)


def test_cost_weight_lowers_expected_cost(make_task):
    expected = []
    for weight in (0.0, 10.0):
        estimator = Estimator(samples=4, baseline="none", cost_weight=weight, cost_target=1e4)
        trainer = Parsec(make_task(space=SPACE, estimator=estimator))
        costs = multiply_adds(NASBENCH201, trainer.settings.network, trainer.task.augment.image_size)[0]
        at_first = float((costs * trainer.prior.marginals().detach()).sum())
        advance(trainer, 4)
        expected.append(float((costs * trainer.prior.marginals().detach()).sum()))
    assert expected[1] < 0.9 * at_first
    assert expected[1] < 0.9 * expected[0]
