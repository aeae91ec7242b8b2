"""Retraining on a GPU: same bytes again, resuming, no waiting inside a step, bfloat16 against float32."""

import pytest
import torch

from parsec.config.base import Compute
from parsec.config.retrain import RetrainAugmentation, RetrainStage
from parsec.config.training import Stack
from parsec.data.augment import Augment
from parsec.data.dataset import open_split, read_info
from parsec.data.loader import Images
from parsec.retrain.trainer import Retrainer, RetrainTask
from parsec.space.published import DARTS_V2

STAGE = RetrainStage(
    origins=(),
    runs=(0,),
    network=Stack(cells=6, channels=8),
    epochs=2,
    batch_size=32,
    augmentation=RetrainAugmentation(padding=1, cutout=2),
)


@pytest.fixture(autouse=True)
def fresh_compiler():
    """Every trainer is another compiled function to torch, which keeps only a limited number of one name."""
    torch.compiler.reset()


FEW = 5 * STAGE.batch_size
"""Images of an epoch of five steps: over more, training makes any rounding grow, and equal ways part."""


@pytest.fixture
def make_trainer(digits, deterministic, full_float32):
    """A function (precision, device, compiled, images) → a trainer of a small network with the whole DARTS recipe."""
    info = read_info(digits)

    def make(precision="auto", device="cuda", compiled="auto", images=None):
        task = RetrainTask(
            genotype=DARTS_V2,
            settings=STAGE,
            compute=Compute(device=device, precision=precision, compile=compiled),
            images=Images(open_split(digits, "train", images), device),
            augment=Augment(STAGE.augmentation, info, torch.channels_last),
            classes=len(info.classes),
            seed=0,
            device=torch.device(device),
        )
        return Retrainer(task)

    return make


def run(trainer, steps):
    rows = []
    for _ in range(steps):
        rows += trainer.advance()
    return rows


def assert_equal(first, second):
    for name, value in first.network.state_dict().items():
        assert torch.equal(second.network.state_dict()[name], value), name


def test_training_is_bitwise_reproducible(make_trainer):
    first, second = make_trainer(), make_trainer()
    run(first, first.total_steps)
    run(second, second.total_steps)
    assert_equal(first, second)


def test_continuing_gives_the_same_bytes(make_trainer, tmp_path):
    whole, first, second = make_trainer(), make_trainer(), make_trainer()
    run(whole, whole.total_steps)
    run(first, whole.total_steps - 9)
    torch.save(first.state_dict(), tmp_path / "state")
    second.load_state_dict(torch.load(tmp_path / "state", map_location="cpu", weights_only=True))
    run(second, 9)
    assert_equal(whole, second)


@pytest.mark.parametrize("compiled", ["off", "on"])
def test_training_step_does_not_sync_device(make_trainer, compiled):
    trainer = make_trainer(compiled=compiled)
    run(trainer, 6)
    torch.cuda.set_sync_debug_mode("error")
    try:
        run(trainer, 5)
    finally:
        torch.cuda.set_sync_debug_mode("default")
    assert torch._dynamo.utils.counters["inductor"]["cudagraph_skips"] == 0, "the graph is replayed, not only compiled"


def test_initial_weights_are_device_independent(make_trainer):
    on_cpu = make_trainer(device="cpu").network.state_dict()
    for name, value in make_trainer().network.state_dict().items():
        assert torch.equal(value.cpu(), on_cpu[name]), name


def test_bfloat16_trains_as_float32_does(make_trainer):
    losses = []
    for precision in ("bfloat16", "float32"):
        trainer = make_trainer(precision, images=FEW)
        losses.append(run(trainer, trainer.steps_per_epoch)[-1]["train_loss"])
    assert losses[0] == pytest.approx(losses[1], rel=0.03)


@pytest.mark.parametrize(("precision", "tolerance"), [("float32", 1e-3), ("bfloat16", 3e-2)])
def test_compiled_training_is_the_plain_one(make_trainer, precision, tolerance):
    losses = []
    for compiled in ("off", "on"):
        trainer = make_trainer(precision, compiled=compiled, images=FEW)
        losses.append(run(trainer, trainer.steps_per_epoch)[-1]["train_loss"])
        assert not any("_orig_mod" in name for name in trainer.network.state_dict())
    assert losses[1] == pytest.approx(losses[0], rel=tolerance)
