"""Random search with weight sharing (Li and Talwalkar, UAI 2019, section 3.2).

Every step of an epoch trains v on one child drawn from the prior, which stays as it is. After the last epoch come so
many steps that each judge a fresh child with v on the validation half; the best is kept.
"""

from parsec.schedule import learning_rate
from parsec.search.metrics import Row
from parsec.search.sampling import Sampling
from parsec.search.stepwise import Stepwise
from parsec.space.spaces import Architecture


class RandomShared(Stepwise[Sampling]):
    """Random search with shared weights; the epoch after the last is that of the judging.

    Until a child was judged, the selected one is the first that would be, which is a random one.
    """

    selection = (
        "the best on the validation half, with shared weights, of `random.candidates` children of the prior; v saw the "
        "training half, and no test image was read"
    )

    def _learner(self) -> Sampling:
        return Sampling(self.task, self._streams)

    @property
    def _trained(self) -> int:
        """Steps that train v."""
        return self.settings.epochs * self._batches.per_epoch if self._cut is None else self._cut

    @property
    def epochs(self) -> int:
        """Epochs to do, that of the judging included."""
        return self._trained // self._batches.per_epoch + 1

    @property
    def total_steps(self) -> int:
        """Steps to do."""
        return self._trained + self.settings.random.candidates

    @property
    def epoch(self) -> int:
        """Epochs that are complete."""
        if self.step < self._trained:
            return self.step // self._batches.per_epoch
        return self._trained // self._batches.per_epoch + (self.step == self.total_steps)

    @property
    def child_images(self) -> int:
        """Forward passes of single images through children so far, those of the judging included."""
        judged = max(self.step - self._trained, 0)
        return (self.children - judged) * self.settings.batch_size + judged * len(self.task.validation)

    def _learn(self, epoch: int) -> Row:
        if self.step >= self._trained:
            return self.updates.judge(self.updates.draw("candidates"), self.accuracy)
        rate = learning_rate(self.settings.weights, epoch, self.settings.epochs)
        child = self.updates.draw("architectures")
        return {"learning_rate": rate, "train_loss": self.updates.train(child, self._batches.training(self.step), rate)}

    @property
    def decided(self) -> bool:
        """Whether any was judged."""
        return self.updates.best is not None

    def genotype(self) -> Architecture:
        """The best child so far; before any was judged a random one."""
        return self.updates.best or self.updates.first()

    def _figures(self, last: Row) -> str:
        return f"best accuracy {100 * self.updates.best_accuracy:.1f} %  " if self.updates.best else ""
