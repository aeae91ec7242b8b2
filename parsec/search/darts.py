"""DARTS: the mixture of all primitives learnt by bilevel gradient descent (Liu, Simonyan and Yang, ICLR 2019).

Every iteration takes a π-step on a validation batch, then a v-step on a training batch. Of first order the π-step takes
v as given (section 2.3, ξ = 0); of second order it looks one v-step ahead (equation 7).
"""

import torch
from torch import Tensor

from parsec.search.batches import Batch
from parsec.search.metrics import Row
from parsec.search.relaxed import Relaxed
from parsec.search.unrolled import unrolled_gradient


class Darts(Relaxed):
    """DARTS of first order."""

    def _learn(self, epoch: int) -> Row:
        updates, rate, losses = self.updates, self._rate(epoch), {}
        train = self._batches.training(self.step)
        if self._warm(epoch):
            losses["validation_loss"] = self._learn_prior(train, self._batches.validation(self.step), rate)
        losses["train_loss"] = loss = updates.loss(self._mixture().detach(), train)
        updates.backward(loss)
        updates.step_weights(rate)
        return self._measured(rate, losses)

    def _mixture(self) -> Tensor:
        """Softmax over the primitives of an edge (DARTS, equation 2): [C, E, O]."""
        return self.updates.by_cell(self.prior.log_probs().exp())

    def _learn_prior(self, train: Batch, validation: Batch, rate: float) -> Tensor:
        """Take the π-step; the loss on the validation batch."""
        loss = self.updates.loss(self._mixture(), validation)
        # Asked for the logits alone, autograd leaves out the gradients of v.
        self.updates.step_prior(torch.autograd.grad(loss, self.prior.logits)[0])
        return loss


class DartsSecondOrder(Darts):
    """DARTS of second order, with the finite differences of its authors."""

    passes = (1, 5)

    def _learn_prior(self, train: Batch, validation: Batch, rate: float) -> Tensor:
        updates, weights = self.updates, self.settings.weights
        flat = updates.supernet.bank.flat
        velocity = updates.weight_optimizer.state[flat].get("momentum_buffer")
        loss, gradient = unrolled_gradient(
            updates.supernet.bank,
            self.prior.logits,
            lambda: updates.loss(self._mixture(), train),
            lambda: updates.loss(self._mixture(), validation),
            rate,
            weights.weight_decay,
            torch.zeros_like(flat) if velocity is None else weights.momentum * velocity,
        )
        updates.step_prior(gradient)
        return loss
