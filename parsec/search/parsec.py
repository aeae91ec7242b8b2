"""PARSEC: the sampling trainer that learns π and the shared weights v together (arXiv 1902.05116, section 2).

Every iteration takes a π-step on a validation batch and a v-step on a training batch, each with K fresh children
drawn from the current p(α|π).
"""

from parsec.schedule import learning_rate
from parsec.search.metrics import Row
from parsec.search.stepwise import Stepwise
from parsec.search.updates import Updates


class Parsec(Stepwise[Updates]):
    """The sampling trainer; between two readings of metric rows a step waits no more than `Updates` says."""

    selection = (
        "mode of π after the last epoch, chosen without looking at any accuracy; π saw the validation half, "
        "v the training half, and no test image was read"
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

    def _figures(self, last: Row) -> str:
        share = f"{last['ess_weights']:.2f}/{last['samples']}" if last else "-"
        return f"effective samples {share}  "

    def _rates(self) -> list[str]:
        return [*super()._rates(), f"prior.learning_rate {self.settings.prior.learning_rate}"]
