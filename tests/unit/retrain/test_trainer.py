"""Training steps: learning, determinism, resuming at any step, and divergence."""

import io
import random

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from parsec.config.training import Augmentation, Network, Optimizer
from parsec.errors import DatasetError, DivergedError
from parsec.retrain.trainer import Retrainer, training_loss
from parsec.runtime.rng import ShardedRNG

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
def test_continuing_at_a_random_step_gives_the_same_bytes(make_task, seed):
    whole, first = Retrainer(make_task()), Retrainer(make_task())
    rows = run(whole)
    before = run(first, until=random.Random(seed).randrange(1, whole.total_steps))
    second = Retrainer(make_task())
    second.load_state_dict(stored(first))
    assert before + run(second) == rows
    assert equal(whole, second)


def test_seeds_give_different_trainings(make_task):
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


def test_rows_say_what_was_used(make_task):
    trainer = Retrainer(make_task(drop_path=0.2, optimizer=Optimizer(learning_rate=0.1)))
    rows = run(trainer)
    assert [row["epoch"] for row in rows] == [1, 2]
    assert [row["step"] for row in rows] == [4, 8]
    assert [row["learning_rate"] for row in rows] == pytest.approx([0.1, 0.05])
    assert [row["drop_path"] for row in rows] == pytest.approx([0.0, 0.1])
    assert all(row["event"] == "epoch" and 0 <= row["train_accuracy"] <= 1 for row in rows)


def test_the_loss_has_smoothing_auxiliary_head_and_drop_path(make_task):
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


def test_the_whole_gradient_is_clipped_by_its_norm(make_task):
    optimizer = Optimizer(learning_rate=1.0, gradient_clip=1e-3, momentum=0.0, weight_decay=0.0)
    trainer = Retrainer(make_task(optimizer=optimizer))
    before = [p.detach().clone() for p in trainer.network.parameters()]
    trainer.advance()
    moved = torch.nn.utils.get_total_norm(
        [p.detach() - q for p, q in zip(trainer.network.parameters(), before, strict=True)]
    )
    assert float(moved) == pytest.approx(1e-3, rel=1e-2)


def test_weights_that_are_not_finite_stop_the_training(make_task):
    trainer = Retrainer(make_task())
    trainer.advance()
    trainer.check_finite()
    with torch.no_grad():
        trainer.network.classifier.linear.bias[0] = float("nan")
    trainer.advance()
    with pytest.raises(DivergedError, match=r"epoch 1, step 2: learning rate 0\.1.*lower") as error:
        trainer.check_finite()
    assert "\n" not in str(error.value)


def test_an_epoch_that_diverged_leaves_no_row(make_task):
    trainer = Retrainer(make_task())
    with torch.no_grad():
        trainer.network.classifier.linear.bias[0] = float("inf")
    with pytest.raises(DivergedError):
        run(trainer)
    assert trainer.latest == {}


def test_fewer_images_than_a_batch_are_refused(make_task):
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


def test_a_step_reads_no_value_from_the_device(make_task):
    trainer = Retrainer(make_task(drop_path=0.3))
    with NoWaiting():
        run(trainer, until=trainer.steps_per_epoch - 1)
    with pytest.raises(AssertionError), NoWaiting():
        trainer.advance()


def test_the_rate_counts_whole_epochs_after_a_process_has_warmed_up(make_task):
    whole, resumed = Retrainer(make_task(epochs=3)), Retrainer(make_task(epochs=3))
    run(whole, until=8)
    assert whole.images_per_second == whole.latest["images_per_second"] == 64 / whole.latest["seconds"]
    resumed.load_state_dict(stored(whole))
    run(resumed)
    assert resumed.latest["images_per_second"] is None
    assert resumed.images_per_second == whole.images_per_second
