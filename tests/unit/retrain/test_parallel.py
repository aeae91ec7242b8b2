"""Training on two ranks: equal to one process, whole batches, and nothing lost when a rank is killed."""

import json
import os
import subprocess
import sys
from dataclasses import replace

import pytest
import torch
from job_file import job_file
from processes import below, caught, variable

from parsec.config.base import as_json
from parsec.errors import SettingsError
from parsec.retrain.trainer import Retrainer, average_gradients, shard_size
from parsec.runtime.distributed import SINGLE_PROCESS, Ranks

CHANGES = {"drop_path": 0.4, "batch_size": 16}


def in_float64(trainer):
    """The trainer with a network and images of float64."""
    batch = trainer._batch
    trainer.network.double()
    trainer._batch = lambda *place: tuple(part.double() if part.is_floating_point() else part for part in batch(*place))
    return trainer


def trained(task):
    """Rows without times, and parameters, after both epochs."""
    trainer, rows = in_float64(Retrainer(task)), []
    while trainer.step < trainer.total_steps:
        rows += trainer.advance()
    numbers = [[row["train_loss"], row["train_accuracy"]] for row in rows]
    return numbers, [parameter.detach().clone() for parameter in trainer.network.parameters()]


class Halves(Retrainer):
    """Both ranks in one process: each half of a batch with a pass of its own, gradients averaged."""

    def _forward(self, images, labels, masks):
        halves = zip(images.chunk(2), labels.chunk(2), masks.chunk(2, dim=1), strict=True)
        logits, losses = zip(*(super(Halves, self)._forward(*half) for half in halves), strict=True)
        return torch.cat(logits), torch.stack(losses).mean()


def test_two_ranks_match_two_shards(make_task, on_ranks, monkeypatch):
    """Same weights on both ranks, and those of one process that gives batch norm the same halves."""
    (rows, weights), other = on_ranks(2, lambda ranks: trained(replace(make_task(**CHANGES), ranks=ranks)))
    assert rows == other[0]
    assert all(torch.equal(mine, its) for mine, its in zip(weights, other[1], strict=True))
    monkeypatch.setattr(sys.modules[__name__], "Retrainer", Halves)
    expected_rows, expected = trained(make_task(**CHANGES))
    for row, expected_row in zip(rows, expected_rows, strict=True):
        assert row == pytest.approx(expected_row, rel=1e-6)
    for weight, parameter in zip(weights, expected, strict=True):
        torch.testing.assert_close(weight, parameter, rtol=1e-6, atol=1e-8)


def test_shards_make_up_the_batch(make_task):
    whole = Retrainer(make_task(**CHANGES))._batch(0, 1)
    parts = [Retrainer(replace(make_task(**CHANGES), ranks=Ranks(rank, 4)))._batch(0, 1) for rank in range(4)]
    for index, expected in enumerate(whole):
        assert torch.equal(torch.cat([part[index] for part in parts]), expected)


def test_unused_layer_keeps_no_gradient(on_ranks):
    def mean(ranks):
        used, unused = torch.zeros(2, 2, requires_grad=True), torch.zeros(3, requires_grad=True)
        used.grad = torch.arange(4.0).view(2, 2) * (ranks.rank + 1)
        loss, correct = average_gradients(
            [used, unused], torch.tensor(1.0 + ranks.rank), torch.tensor(3 + ranks.rank), ranks
        )
        return used.grad.tolist(), unused.grad, loss.item(), correct.item()

    assert on_ranks(2, mean) == [([[0.0, 1.5], [3.0, 4.5]], None, 1.5, 7)] * 2


def test_uneven_shards_are_refused():
    assert shard_size(3, SINGLE_PROCESS) == 3
    assert shard_size(96, Ranks(0, 8)) == 12
    for size, count in ((16, 3), (4, 4)):
        with pytest.raises(SettingsError, match=f"batch_size: {size} images .* {count} ranks"):
            shard_size(size, Ranks(0, count))


@pytest.fixture
def begin(digits, make_job, tmp_path):
    """A function name, seconds between checkpoints → a training on two ranks, as a user starts it, and its folder."""

    def start(name, checkpoint_seconds="600", ranks="2"):
        settings = job_file(tmp_path, as_json(make_job(epochs=12)))
        command = [sys.executable, "-m", "parsec", "retrain", "--settings", settings, "--data", digits]
        command += ["--seed", "0", "--run", "0", "--origin", "published", "--method", "DARTS_V2"]
        command += ["--genotype", "DARTS_V2", "--output", tmp_path / name, "--state", tmp_path / f"{name}-state"]
        command += ["--ranks", ranks, "--threads", "2"]
        environment = {**os.environ, "PARSEC_CHECKPOINT_SECONDS": checkpoint_seconds}
        return subprocess.Popen(command, stderr=subprocess.PIPE, text=True, env=environment), tmp_path / name

    return start


def finished(process, output):
    said = process.communicate()[1]
    assert process.returncode == 0, said
    return (output / "weights.safetensors").read_bytes(), json.loads((output / "result.json").read_text())


@pytest.mark.fault("retraining", "one of two ranks is killed")
def test_killed_rank_ends_the_other(begin, outcome):
    def start(attempt):
        process, output = begin(f"killed{attempt}", "0")
        return process, output.with_name(f"{output.name}-state")

    with caught(start, 2, 40) as (process, state):
        next(rank for rank in below(process, "retrain") if variable(rank, "RANK") == "1").kill()
    name = state.name.removesuffix("-state")
    said = process.communicate()[1]
    assert "another rank of this run ended" in said
    assert not state.with_name(name).exists()
    refused, _ = begin(name, ranks="1")
    assert "changed since: ranks (2, now 1)" in refused.communicate()[1]
    assert refused.returncode == 2
    weights, result = finished(*begin(name))
    expected, undisturbed = finished(*begin("undisturbed"))
    assert weights == expected
    assert result["test"] == undisturbed["test"]
    assert (result["cost"]["ranks"], result["cost"]["restarts"], result["batch_norm_images"]) == (2, 1, 8)
    outcome("the other rank ends, and the same command continues to the bytes of an undisturbed training")
