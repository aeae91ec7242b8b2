"""The gradient of DARTS of second order: through one step of v, with a finite difference for the Hessian product."""

from collections.abc import Callable

import torch
from torch import Tensor

from parsec.network.bank import Bank

REACH = 0.01
"""Length of the step of the finite difference in the space of v (DARTS, section 2.3)."""
Loss = Callable[[], Tensor]
"""A loss at the present v and π."""


def _gradients(bank: Bank, logits: Tensor, loss: Loss) -> tuple[Tensor, Tensor, Tensor]:
    """A loss, its gradient of the logits, and that of v, a copy."""
    bank.gradient.zero_()
    logits.grad = None
    value = loss()
    value.backward()
    assert logits.grad is not None
    gradient, logits.grad = logits.grad, None
    return value.detach(), gradient, bank.gradient.clone()


def hessian_product(bank: Bank, logits: Tensor, loss: Loss, vector: Tensor, reach: float = REACH) -> Tensor:
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
    bank: Bank,
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
