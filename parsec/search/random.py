"""Random search: architectures of the prior, each trained shortly and alone; the best on validation is kept.

The baseline of DARTS (section 3.2): 24 architectures, 100 epochs each. An architecture is trained as the search runs
it, with batch statistics and without auxiliary head, from weights of its own and with a schedule of its own.
"""

from typing import Any

from parsec.schedule import learning_rate
from parsec.search.metrics import Row
from parsec.search.sampling import Sampling
from parsec.search.stepwise import Stepwise
from parsec.space.spaces import Architecture


class Trained(Sampling):
    """The weights of the architecture that is being trained, and how far the best one's took it."""

    child: Architecture | None = None
    """The architecture that is being trained."""

    def next(self, number: int) -> None:
        """Draw architecture number `number`, with new weights."""
        self.child = self.draw("architectures")
        self.begin("weights of an architecture", number)

    def state_dict(self) -> dict[str, Any]:
        """The state of the weights, and which architecture they belong to."""
        child = None if self.child is None else self.prior.space.encode(self.child, "separate")
        return {**super().state_dict(), "child": child}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continue where `state_dict` was taken."""
        super().load_state_dict(state)
        self.child = None if state["child"] is None else self.prior.space.decode(state["child"], "separate")


class RandomSearch(Stepwise[Trained]):
    """Random search; an epoch is one of an architecture's, and they come one architecture after another.

    Until one was trained, the selected one is another random one.
    """

    selection = (
        "the best on the validation half of `random.architectures` draws of the prior, each trained alone for "
        "`random.epochs` epochs on the training half; no test image was read"
    )

    def _learner(self) -> Trained:
        return Trained(self.task, self._streams)

    @property
    def epochs(self) -> int:
        """Epochs to do, of all architectures together."""
        return self.settings.random.architectures * self.settings.random.epochs

    @property
    def child_images(self) -> int:
        """Forward passes of single images through architectures so far, those of the judging included."""
        judged = self.epoch // self.settings.random.epochs
        return (self.children - judged) * self.settings.batch_size + judged * len(self.task.validation)

    def _learn(self, epoch: int) -> Row:
        updates, number, within = self.updates, *divmod(epoch, self.settings.random.epochs)
        steps = self.settings.random.epochs * self._batches.per_epoch
        if self.step % steps == 0:
            updates.next(number)
        assert updates.child is not None
        rate = learning_rate(self.settings.weights, within, self.settings.random.epochs)
        loss = updates.train(updates.child, self._batches.training(self.step), rate)
        row = {"learning_rate": rate, "train_loss": loss}
        if (self.step + 1) % steps == 0:
            row |= updates.judge(updates.child, super().accuracy)
        return row

    @property
    def decided(self) -> bool:
        """Whether any was judged."""
        return self.updates.best is not None

    def genotype(self) -> Architecture:
        """The best architecture so far; before any was judged a random one."""
        return self.updates.best or self.updates.first()

    def accuracy(self, child: Architecture) -> float:
        """Accuracy in [0, 1] on the validation half: of the best architecture with the weights it was trained to.

        Others, which the weights at hand were not trained for, get what these give them.
        """
        return self.updates.best_accuracy if child == self.updates.best else super().accuracy(child)

    def _figures(self, last: Row) -> str:
        return f"best accuracy {100 * self.updates.best_accuracy:.1f} %  " if self.updates.best else ""
