"""The trainer: learning, resuming, divergence, loss, average of weights, compilation."""

import copy
import io
import os
import random
import shutil

import pytest
import torch
from torch._dynamo.utils import counters
from torch.utils._python_dispatch import TorchDispatchMode

from parsec.config.base import Compute
from parsec.config.training import Augmentation, Network, Optimizer
from parsec.errors import DatasetError, DeviceError, DivergedError
from parsec.retrain.trainer import Retrainer, compile_if_asked, training_loss
from parsec.runtime.rng import ShardedRNG
from parsec.space.darts import NODES, Edge, Genotype

PLAIN = Augmentation(crop="none", flip=False)


def stored(trainer):
    """The state as a checkpoint would keep it."""
    buffer = io.BytesIO()
    torch.save(trainer.state_dict(), buffer)
    return torch.load(io.BytesIO(buffer.getvalue()), weights_only=True)


def run(trainer, until=None):
    rows = []
    while trainer.step < (until or trainer.total_steps):
        rows += trainer.advance()
    return [{key: value for key, value in row.items() if "second" not in key} for row in rows]


def equal(first, second):
    return all(
        torch.equal(first.state_dict()["network"][name], value) for name, value in second.network.state_dict().items()
    )


@pytest.mark.parametrize("seed", range(3))
def test_resuming_gives_the_same_bytes(make_task, seed):
    whole, first = Retrainer(make_task()), Retrainer(make_task())
    rows = run(whole)
    before = run(first, until=random.Random(seed).randrange(1, whole.total_steps))
    second = Retrainer(make_task())
    second.load_state_dict(stored(first))
    assert before + run(second) == rows
    assert equal(whole, second)


def test_seeds_differ(make_task):
    first, second = Retrainer(make_task(seed=0)), Retrainer(make_task(seed=1))
    assert not torch.equal(first.network.classifier.linear.weight, second.network.classifier.linear.weight)


def test_it_learns_digits(make_task):
    task = make_task(
        network=Network(cells=3, channels=4), train_images=384, batch_size=32, epochs=6, drop_path=0.0,
        augmentation=PLAIN,
    )  # fmt: skip
    rows = run(Retrainer(task))
    assert rows[-1]["train_accuracy"] > 0.6 > rows[0]["train_accuracy"]
    assert rows[-1]["train_loss"] < rows[0]["train_loss"] / 2


def test_rows_record_the_schedules(make_task):
    trainer = Retrainer(make_task(drop_path=0.2, optimizer=Optimizer(learning_rate=0.1)))
    rows = run(trainer)
    assert [row["epoch"] for row in rows] == [1, 2]
    assert [row["step"] for row in rows] == [4, 8]
    assert [row["learning_rate"] for row in rows] == pytest.approx([0.1, 0.05])
    assert [row["drop_path"] for row in rows] == pytest.approx([0.0, 0.1])
    assert all(row["event"] == "epoch" and 0 <= row["train_accuracy"] <= 1 for row in rows)


def test_loss_has_all_terms(make_task):
    """The first epoch's only step again by hand: same images, same draws."""
    changes = {"epochs": 2, "batch_size": 64, "label_smoothing": 0.1, "drop_path": 0.6, "augmentation": PLAIN}
    trainer, twin = Retrainer(make_task(**changes)), Retrainer(make_task(**changes))
    assert trainer.steps_per_epoch == 1
    run(trainer, until=1)
    state = stored(trainer)
    twin.load_state_dict(state)
    (row,) = run(trainer)
    images, labels = twin._batch(1, 0)
    generator = torch.Generator()
    generator.set_state(twin._streams.device("drop-path").get_state())
    logits, auxiliary = twin.network(images, twin.network.masks(images, 0.3, ShardedRNG(generator)))
    assert row["train_loss"] == pytest.approx(training_loss(logits, auxiliary, labels, 0.1, 0.4).item(), rel=1e-5)
    twin.load_state_dict(state)
    assert row["train_loss"] != pytest.approx(training_loss(*twin.network(images), labels, 0.1, 0.4).item(), rel=1e-3)


def test_no_auxiliary_head_without_a_weight(make_task):
    assert Retrainer(make_task(auxiliary_weight=0.4)).network.auxiliary is not None
    assert Retrainer(make_task(auxiliary_weight=0.0)).network.auxiliary is None


def test_gradient_is_clipped_by_norm(make_task):
    optimizer = Optimizer(learning_rate=1.0, gradient_clip=1e-3, momentum=0.0, weight_decay=0.0)
    trainer = Retrainer(make_task(optimizer=optimizer))
    before = [p.detach().clone() for p in trainer.network.parameters()]
    trainer.advance()
    moved = torch.nn.utils.get_total_norm(
        [p.detach() - q for p, q in zip(trainer.network.parameters(), before, strict=True)]
    )
    assert float(moved) == pytest.approx(1e-3, rel=1e-2)


def test_non_finite_weights_stop_training(make_task):
    trainer = Retrainer(make_task())
    trainer.advance()
    trainer.check_finite()
    with torch.no_grad():
        trainer.network.classifier.linear.bias[0] = float("nan")
    trainer.advance()
    with pytest.raises(DivergedError, match=r"epoch 1, step 2: learning rate 0\.1.*lower") as error:
        trainer.check_finite()
    assert "\n" not in str(error.value)


def test_diverged_epoch_leaves_no_row(make_task):
    trainer = Retrainer(make_task())
    with torch.no_grad():
        trainer.network.classifier.linear.bias[0] = float("inf")
    with pytest.raises(DivergedError):
        run(trainer)
    assert trainer.latest == {}


def test_less_than_a_batch_refused(make_task):
    with pytest.raises(DatasetError, match="batch"):
        Retrainer(make_task(train_images=None, batch_size=2000))


def test_progress_names_epoch_loss_and_accuracy(make_task):
    trainer = Retrainer(make_task())
    assert "epoch 1/2" in trainer.progress()
    trainer.advance()
    assert "loss" in trainer.progress()
    assert "accuracy" in trainer.progress()
    run(trainer)
    assert "epoch 2/2" in trainer.progress()


class NoWaiting(TorchDispatchMode):
    """Refuses what would make the host wait for a GPU: reading a tensor's value."""

    def __torch_dispatch__(self, function, types, arguments=(), options=None):
        assert "_local_scalar_dense" not in str(function)
        assert "nonzero" not in str(function)
        return function(*arguments, **(options or {}))


def test_step_does_not_read_device(make_task):
    trainer = Retrainer(make_task(drop_path=0.3))
    with NoWaiting():
        run(trainer, until=trainer.steps_per_epoch - 1)
    with pytest.raises(AssertionError), NoWaiting():
        trainer.advance()


def test_throughput_skips_the_first_epoch(make_task):
    whole, resumed = Retrainer(make_task(epochs=3)), Retrainer(make_task(epochs=3))
    run(whole, until=8)
    assert whole.images_per_second == whole.latest["images_per_second"] == 64 / whole.latest["seconds"]
    resumed.load_state_dict(stored(whole))
    run(resumed)
    assert resumed.latest["images_per_second"] is None
    assert resumed.images_per_second == whole.images_per_second


LOGITS = torch.tensor([[2.0, -1.0, 0.5], [0.0, 1.0, 3.0]])
OTHER = torch.tensor([[0.1, 0.2, 0.3], [1.0, -1.0, 0.0]])
LABELS = torch.tensor([0, 1])


def by_hand(logits, smoothing):
    log_p = logits.log_softmax(1)
    target = torch.eye(3)[LABELS] * (1 - smoothing) + smoothing / 3
    return float(-(target * log_p).sum(1).mean())


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_label_smoothing_covers_all_classes(smoothing):
    assert float(training_loss(LOGITS, None, LABELS, smoothing, 0.4)) == pytest.approx(by_hand(LOGITS, smoothing))


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_auxiliary_loss_has_its_weight(smoothing):
    expected = by_hand(LOGITS, smoothing) + 0.4 * by_hand(OTHER, smoothing)
    assert float(training_loss(LOGITS, OTHER, LABELS, smoothing, 0.4)) == pytest.approx(expected)


def test_bfloat16_loss_is_float32():
    assert training_loss(LOGITS.bfloat16(), OTHER.bfloat16(), LABELS, 0.1, 0.4).dtype == torch.float32


def weights(network):
    return torch.cat([value.flatten().double() for value in network.state_dict().values() if value.is_floating_point()])


def test_average_follows_its_recursion(make_task) -> None:
    trainer = Retrainer(make_task(average=0.75))
    expected = None
    for _ in range(5):
        trainer.advance()
        now = weights(trainer.network)
        expected = now if expected is None else 0.75 * expected + 0.25 * now
    assert torch.allclose(weights(trainer.trained_network), expected, atol=1e-6)
    assert not torch.allclose(weights(trainer.trained_network), weights(trainer.network), atol=1e-4)


def test_average_leaves_training_unchanged(make_task) -> None:
    plain, averaged = Retrainer(make_task()), Retrainer(make_task(average=0.9))
    for _ in range(3):
        plain.advance()
        averaged.advance()
    assert torch.equal(weights(plain.network), weights(averaged.network))
    resumed = Retrainer(make_task(average=0.9))
    resumed.load_state_dict(copy.deepcopy(averaged.state_dict()))
    for trainer in (averaged, resumed):
        trainer.advance()
    assert torch.equal(weights(resumed.trained_network), weights(averaged.trained_network))


def test_without_average_network_is_tested(make_task) -> None:
    trainer = Retrainer(make_task())
    assert trainer.trained_network is trainer.network


CPU = torch.device("cpu")
COMPILER = shutil.which(os.environ.get("CXX", "g++"))
# Few kinds of layers, so that there is little to compile.
CELL = tuple((Edge("max_pool_3x3", node), Edge("skip_connect", node + 1)) for node in range(NODES))
CHANGES = {"genotype": Genotype(CELL, CELL), "epochs": 3, "drop_path": 0.6, "optimizer": Optimizer(learning_rate=0.01)}


def trained(trainer):
    while trainer.step < trainer.total_steps:
        trainer.advance()
    return copy.deepcopy(trainer.network.state_dict())


def in_float64(trainer):
    """The trainer with a network and images of float64; its loss stays float32."""
    batch = trainer._batch
    trainer.network.double()
    trainer._batch = lambda *place: tuple(part.double() if part.is_floating_point() else part for part in batch(*place))
    return trainer


@pytest.mark.skipif(COMPILER is None, reason="needs a C++ compiler")
def test_compiled_matches_plain_without_recompiling(make_task, monkeypatch):
    """Up to a minute of compiling. Drop-path and learning rate change with each of the three epochs."""
    monkeypatch.setattr("torch._dynamo.config.error_on_recompile", True)
    counters.clear()
    plain, trainer = (in_float64(Retrainer(make_task(compile=mode, **CHANGES))) for mode in ("off", "on"))
    expected = trained(plain)
    for _ in range(5):
        trainer.advance()
    saved = copy.deepcopy(trainer.state_dict())
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
    assert compile_if_asked(abs, Compute(compile=setting), torch.device(kind)) is abs


def test_missing_compiler_is_one_line(monkeypatch):
    monkeypatch.setattr(torch, "compile", fail)
    with pytest.raises(DeviceError, match=r"compute\.compile: on, but .*no compiler\); install") as error:
        compile_if_asked(abs, Compute(compile="on"), CPU)
    assert "\n" not in str(error.value)


def test_auto_falls_back_with_warning(monkeypatch, caplog):
    monkeypatch.setattr(torch, "compile", fail)
    assert compile_if_asked(abs, Compute(compile="auto"), torch.device("cuda")) is abs
    assert "without compiling" in caplog.text
