"""PARSEC: the sampling trainer that learns π and the shared weights v together (arXiv 1902.05116, section 2).

Every iteration takes a π-step on a validation batch and a v-step on a training batch, each with K fresh children
drawn from the current p(α|π).
"""

from functools import cached_property

from parsec.runtime.randomness import generator
from parsec.schedule import learning_rate
from parsec.search.metrics import Row
from parsec.search.stepwise import Stepwise
from parsec.search.updates import Updates
from parsec.space.spaces import Architecture


class Parsec(Stepwise[Updates]):
    """The sampling trainer; between two readings of metric rows a step waits no more than `Updates` says."""

    selection = (
        "mode of π after the last epoch, chosen without looking at any accuracy (with `estimator.best_of` the best of "
        "so many draws of π by accuracy on the validation half); π saw the validation half, v the training half, and "
        "no test image was read"
    )
    passes = (1, 2)

    def _learner(self) -> Updates:
        return Updates(self.task, self._streams)

    def _learn(self, epoch: int) -> Row:
        """One π-step and one v-step."""
        rate = learning_rate(self.settings.weights, epoch, self.settings.epochs)
        measured = {}
        if epoch >= self.settings.warmup_epochs:
            measured = self.updates.of_prior(self._batches.validation(self.step))
        measured |= self.updates.of_weights(self._batches.training(self.step), rate)
        return {"learning_rate": rate, **measured}

    @property
    def _judges(self) -> bool:
        """Whether draws of π are compared by now."""
        return self.settings.estimator.best_of is not None and self.step == self.total_steps

    @property
    def children(self) -> int:
        """Children evaluated so far, those that are compared at the end included."""
        return self.updates.children + (self.settings.estimator.best_of or 0) * self._judges

    @property
    def child_images(self) -> int:
        """Forward passes of single images through children so far, those of the comparison included."""
        judged = self.children - self.updates.children
        return self.updates.children * self.settings.batch_size + judged * len(self.task.validation)

    def genotype(self) -> Architecture:
        """The mode of π; at the end the best of several draws, of equals the first, if the settings say so."""
        return self._best if self._judges else super().genotype()

    @cached_property
    def _best(self) -> Architecture:
        count, stream = self.settings.estimator.best_of or 1, generator(self.task.seed, "draws of the final π")
        drawn: list[Architecture] = self.prior.children(self.prior.sample(count, stream)).genotypes
        return max(drawn, key=self.accuracy)

    def _figures(self, last: Row) -> str:
        share = f"{last['ess_weights']:.2f}/{last['samples']}" if last else "-"
        return f"effective samples {share}  "

    def _rates(self) -> list[str]:
        return [*super()._rates(), f"prior.learning_rate {self.settings.prior.learning_rate}"]
