"""DARTS: the mixture of all operations learnt by bilevel gradient descent (Liu, Simonyan and Yang, ICLR 2019).

Every iteration takes a π-step on a validation batch, then a v-step on a training batch. Of first order the π-step takes
v as given (section 2.3, ξ = 0); of second order it looks one v-step ahead (equation 7).
"""

from collections.abc import Callable

import torch
from torch import Tensor

from parsec.network.spaces import Parameters
from parsec.search.base import Batch, Metrics
from parsec.search.relaxed import Relaxed

REACH = 0.01
"""Length of the step of the finite difference in the space of v (DARTS, section 2.3)."""
Loss = Callable[[], Tensor]
"""A loss at the current v and π."""


def _gradients(weights: Parameters, logits: Tensor, loss: Loss) -> tuple[Tensor, Tensor, Tensor]:
    """A loss, its gradient with respect to the logits, and a copy of that with respect to v."""
    weights.gradient.zero_()
    logits.grad = None
    value = loss()
    value.backward()
    assert logits.grad is not None
    gradient, logits.grad = logits.grad, None
    return value.detach(), gradient, weights.gradient.clone()


def hessian_product(weights: Parameters, logits: Tensor, loss: Loss, vector: Tensor, reach: float = REACH) -> Tensor:
    """∇²_{π,v} L · vector by the central difference of the gradient of π at v ± ε vector (DARTS, equation 8).

    ε = reach / ‖vector‖. v is restored; a zero vector has the product zero. Where the step crosses kinks of ReLUs, as
    it does with 0.01, this is the curvature over a step of this length, not that at v.
    """
    before, length = weights.flat.detach().clone(), float(vector.norm())
    if length == 0.0:
        return torch.zeros_like(logits)
    # ∇_π L at v + ε vector and at v − ε vector.
    epsilon = reach / length
    weights.flat.detach().copy_(before + epsilon * vector)
    _, forward, _ = _gradients(weights, logits, loss)
    weights.flat.detach().copy_(before - epsilon * vector)
    _, backward, _ = _gradients(weights, logits, loss)
    weights.flat.detach().copy_(before)
    return (forward - backward) / (2 * epsilon)


def unrolled_gradient(
    weights: Parameters,
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
        weights: holds v, which is restored; its gradient is overwritten.
        logits: of π.
        train: the loss of the v-step that is looked ahead.
        validation: the loss that is descended.
        rate: ξ, the learning rate of v.
        weight_decay: of v, part of the step.
        velocity: what momentum adds to the step, of the shape of v.
        reach: length of the step of the finite difference.
    """
    # v' = v − ξ (momentum + ∇_v L_train + weight decay): the v-step that is looked ahead.
    before = weights.flat.detach().clone()
    _, _, gradient = _gradients(weights, logits, train)
    weights.flat.detach().sub_(rate * (velocity + gradient + weight_decay * before))
    # ∇_π L_val and ∇_v' L_val at v'; then v is restored.
    loss, direct, vector = _gradients(weights, logits, validation)
    weights.flat.detach().copy_(before)
    # Equation 7: ∇_π L_val − ξ ∇²_{π,v} L_train · ∇_v' L_val.
    return loss, direct - rate * hessian_product(weights, logits, train, vector, reach)


class Darts(Relaxed):
    """DARTS of first order."""

    def train_step(self, epoch: int) -> Metrics:
        """A π-step on a validation batch once the warm-up is over, then a v-step on a training batch."""
        rate, losses = self._rate(epoch), {}
        train = self.batches.training(self.step)
        if self._past_warmup(epoch):
            losses["validation_loss"] = self.prior_step(train, self.batches.validation(self.step), rate)
        # v-step: π is constant, so its gradient is not computed.
        losses["train_loss"] = loss = self.loss(self._mixture().detach(), train)
        self.backward(loss)
        self.step_weights(rate)
        return self._metrics(rate, losses)

    def _mixture(self) -> Tensor:
        """Softmax over the operations of each edge (DARTS, equation 2): [C, E, O]."""
        return self.by_cell(self.prior.log_probs().exp())

    def prior_step(self, train: Batch, validation: Batch, rate: float) -> Tensor:
        """Take the π-step; the loss on the validation batch."""
        loss = self.loss(self._mixture(), validation)
        # Asked for the logits only, autograd leaves out the gradients of v.
        self.step_prior(torch.autograd.grad(loss, self.prior.logits)[0])
        return loss


class DartsSecondOrder(Darts):
    """DARTS of second order, with the finite differences of its authors."""

    passes = (1, 5)

    def prior_step(self, train: Batch, validation: Batch, rate: float) -> Tensor:
        """Take the π-step through one v-step ahead; the loss on the validation batch after it."""
        optimizer, flat = self.settings.weights, self.supernet.weights.flat
        # The v-step that is looked ahead includes SGD's momentum; before the first step there is none.
        velocity = self.weight_optimizer.state[flat].get("momentum_buffer")
        loss, gradient = unrolled_gradient(
            self.supernet.weights,
            self.prior.logits,
            lambda: self.loss(self._mixture(), train),
            lambda: self.loss(self._mixture(), validation),
            rate,
            optimizer.weight_decay,
            torch.zeros_like(flat) if velocity is None else optimizer.momentum * velocity,
        )
        self.step_prior(gradient)
        return loss
