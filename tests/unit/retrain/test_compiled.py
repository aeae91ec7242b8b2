"""Compiled training: the plain one's numbers, one compilation for all epochs, and machines that cannot compile."""

import os
import shutil
from copy import deepcopy

import pytest
import torch
from torch._dynamo.utils import counters

from parsec.config.base import Compute
from parsec.config.training import Optimizer
from parsec.errors import DeviceError
from parsec.retrain import trainer as compiling
from parsec.retrain.trainer import Retrainer
from parsec.space.darts import NODES, Edge, Genotype

CPU = torch.device("cpu")
COMPILER = shutil.which(os.environ.get("CXX", "g++"))
# Few kinds of layers, so that there is little to compile.
CELL = tuple((Edge("max_pool_3x3", node), Edge("skip_connect", node + 1)) for node in range(NODES))
CHANGES = {"genotype": Genotype(CELL, CELL), "epochs": 3, "drop_path": 0.6, "optimizer": Optimizer(learning_rate=0.01)}


def trained(trainer):
    while trainer.step < trainer.total_steps:
        trainer.advance()
    return deepcopy(trainer.network.state_dict())


def in_float64(trainer):
    """The trainer with a network and images of float64; its loss stays float32."""
    batch = trainer._batch
    trainer.network.double()
    trainer._batch = lambda *place: tuple(part.double() if part.is_floating_point() else part for part in batch(*place))
    return trainer


@pytest.mark.skipif(COMPILER is None, reason="needs a C++ compiler")
def test_compiled_training_is_the_plain_one_without_recompiling(make_task, monkeypatch):
    """Up to a minute of compiling. Drop-path and learning rate change with each of the three epochs."""
    monkeypatch.setattr("torch._dynamo.config.error_on_recompile", True)
    counters.clear()
    plain, trainer = (in_float64(Retrainer(make_task(compile=mode, **CHANGES))) for mode in ("off", "on"))
    expected = trained(plain)
    for _ in range(5):
        trainer.advance()
    saved = deepcopy(trainer.state_dict())
    weights = trained(trainer)
    assert counters["stats"]["unique_graphs"] == 2, "the step, and the question whether this machine compiles"
    assert list(weights) == list(expected)
    for name, value in expected.items():
        torch.testing.assert_close(weights[name], value, rtol=1e-4, atol=1e-6, msg=name)
    trainer.load_state_dict(saved)
    assert all(torch.equal(weights[name], value) for name, value in trained(trainer).items())


def fail(*arguments, **options):
    raise RuntimeError("no compiler\nand a long story")


@pytest.mark.parametrize(("setting", "kind"), [("off", "cuda"), ("auto", "cpu"), ("off", "cpu")])
def test_nothing_is_compiled_unasked(monkeypatch, setting, kind):
    monkeypatch.setattr(torch, "compile", fail)
    assert compiling.compiled(abs, Compute(compile=setting), torch.device(kind)) is abs


def test_a_machine_that_cannot_compile_is_named_in_one_line(monkeypatch):
    monkeypatch.setattr(torch, "compile", fail)
    with pytest.raises(DeviceError, match=r"compute\.compile: on, but .*no compiler\); install") as error:
        compiling.compiled(abs, Compute(compile="on"), CPU)
    assert "\n" not in str(error.value)


def test_auto_trains_uncompiled_where_it_must_and_says_so(monkeypatch, caplog):
    monkeypatch.setattr(torch, "compile", fail)
    assert compiling.compiled(abs, Compute(compile="auto"), torch.device("cuda")) is abs
    assert "without compiling" in caplog.text
