"""GDAS: hard Gumbel samples with straight-through gradients, one primitive an edge (Dong and Yang, CVPR 2019).

Only the sampled path is run, so that memory is that of one path. Every iteration takes a π-step on a validation batch
and a v-step on a training batch, each with a sample of its own.
"""

import torch
from torch import Tensor

from parsec.search.base import Row
from parsec.search.relaxed import Relaxed


def gumbel(shape: torch.Size, generator: torch.Generator) -> Tensor:
    """Numbers of the standard Gumbel distribution, float64."""
    return -torch.empty(shape, dtype=torch.float64).exponential_(generator=generator).log()


def concrete(log_p: Tensor, noise: Tensor, temperature: float) -> Tensor:
    """The relaxed sample softmax((log p + noise) / temperature), in the shape of `log_p`."""
    return ((log_p + noise) / temperature).softmax(-1)


def straight_through(soft: Tensor) -> Tensor:
    """Exactly 1 at the largest entry of every row and 0 elsewhere; gradients are those of `soft` (GDAS, equation 6)."""
    hard = torch.zeros_like(soft).scatter_(-1, soft.detach().argmax(-1, keepdim=True), 1.0)
    return hard + (soft - soft.detach())


class Gdas(Relaxed):
    """GDAS. An entry that is not sampled is not run, so that its own gradient is left out."""

    hard = True

    def _temperature(self, epoch: int) -> float:
        """It falls by equal steps from epoch to epoch."""
        first, last = self.settings.relaxation.gdas_temperature
        return first + (last - first) * self._progress_through(epoch)

    def _sample(self, temperature: float) -> Tensor:
        log_p = self.prior.log_probs()
        noise = gumbel(log_p.shape, self._streams.cpu("architectures"))
        return self.updates.by_cell(straight_through(concrete(log_p, noise, temperature)))

    def _learn(self, epoch: int) -> Row:
        updates, rate, temperature, losses = self.updates, self._rate(epoch), self._temperature(epoch), {}
        if self._warm(epoch):
            losses["validation_loss"] = loss = updates.loss(
                self._sample(temperature), self._batches.validation(self.step)
            )
            # A sample may cut the output off from every edge, so that the loss does not depend on π at all.
            updates.step_prior(torch.autograd.grad(loss, self.prior.logits, materialize_grads=True)[0])
        losses["train_loss"] = loss = updates.loss(
            self._sample(temperature).detach(), self._batches.training(self.step)
        )
        updates.backward(loss)
        updates.step_weights(rate)
        return self._measured(rate, losses, temperature=temperature)
