"""DARTS: the mixture of all primitives learnt by bilevel gradient descent (Liu, Simonyan and Yang, ICLR 2019).

Every iteration takes a π-step on a validation batch, then a v-step on a training batch. Of first order the π-step takes
v as given (section 2.3, ξ = 0); of second order it looks one v-step ahead (equation 7).
"""

from collections.abc import Callable

import torch
from torch import Tensor

from parsec.network.supernet import SharedParameters
from parsec.search.base import Batch, Row
from parsec.search.relaxed import Relaxed

REACH = 0.01
"""Length of the step of the finite difference in the space of v (DARTS, section 2.3)."""
Loss = Callable[[], Tensor]
"""A loss at the present v and π."""


def _gradients(bank: SharedParameters, logits: Tensor, loss: Loss) -> tuple[Tensor, Tensor, Tensor]:
    """A loss, its gradient of the logits, and that of v, a copy."""
    bank.gradient.zero_()
    logits.grad = None
    value = loss()
    value.backward()
    assert logits.grad is not None
    gradient, logits.grad = logits.grad, None
    return value.detach(), gradient, bank.gradient.clone()


def hessian_product(bank: SharedParameters, logits: Tensor, loss: Loss, vector: Tensor, reach: float = REACH) -> Tensor:
    """∇²_{π,v} L · vector by the central difference of the gradient of π at v ± ε vector (DARTS, equation 8).

    ε = reach / ‖vector‖. v is as before afterwards; a vector of zeros has the product zero. Where the step crosses the
    kinks of rectifiers, which 0.01 does, this is the curvature that a step of this length sees, and not that at v.
    """
    before, length = bank.flat.detach().clone(), float(vector.norm())
    if length == 0.0:
        return torch.zeros_like(logits)
    step, ends = reach / length, []
    for sign in (1, -1):
        bank.flat.detach().copy_(before + sign * step * vector)
        ends.append(_gradients(bank, logits, loss)[1])
    bank.flat.detach().copy_(before)
    return (ends[0] - ends[1]) / (2 * step)


def unrolled_gradient(
    bank: SharedParameters,
    logits: Tensor,
    train: Loss,
    validation: Loss,
    rate: float,
    weight_decay: float,
    velocity: Tensor,
    reach: float = REACH,
) -> tuple[Tensor, Tensor]:
    """The validation loss after one v-step, and its gradient with respect to the logits (DARTS, equation 7).

    Args:
        bank: holds v, which is as before afterwards; its gradient is not.
        logits: of π.
        train: the loss of the v-step that is looked ahead.
        validation: the loss that is descended.
        rate: ξ, the learning rate of v.
        weight_decay: of v, part of the step.
        velocity: what momentum adds to the step, of the shape of v.
        reach: length of the step of the finite difference.
    """
    before = bank.flat.detach().clone()
    _, _, gradient = _gradients(bank, logits, train)
    bank.flat.detach().sub_(rate * (velocity + gradient + weight_decay * before))
    loss, direct, vector = _gradients(bank, logits, validation)
    bank.flat.detach().copy_(before)
    return loss, direct - rate * hessian_product(bank, logits, train, vector, reach)


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
