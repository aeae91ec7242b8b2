"""GDAS: hard Gumbel samples with straight-through gradients, one operation per edge (Dong and Yang, CVPR 2019).

Only the sampled path is run, so that memory is that of one path. Every iteration takes a π-step on a validation batch
and a v-step on a training batch, each with a fresh sample.
"""

import torch
from torch import Tensor

from parsec.search.base import Metrics
from parsec.search.relaxed import Relaxed
from parsec.space.spaces import Architecture


def gumbel(shape: torch.Size, generator: torch.Generator) -> Tensor:
    """Numbers of the standard Gumbel distribution, float64."""
    return -torch.empty(shape, dtype=torch.float64).exponential_(generator=generator).log()


def concrete(log_p: Tensor, noise: Tensor, temperature: float) -> Tensor:
    """The relaxed sample softmax((log p + noise) / temperature), in the shape of `log_p`."""
    return ((log_p + noise) / temperature).softmax(-1)


def straight_through(soft: Tensor) -> Tensor:
    """Exactly 1 at the largest entry of every row and 0 elsewhere; gradients are those of `soft` (GDAS)."""
    hard = torch.zeros_like(soft).scatter_(-1, soft.detach().argmax(-1, keepdim=True), 1.0)
    return hard + (soft - soft.detach())


class Gdas(Relaxed):
    """GDAS. An entry that is not sampled is not run, so that its own gradient is left out."""

    selection = (
        "derived from π after the last epoch (DARTS: the two strongest pairs of an input and an operation of a node; "
        "NAS-Bench-201: the argmax of every edge), chosen without looking at any accuracy; π saw the validation split, "
        "v the training split, and no test image was read"
    )
    samples_one_op = True

    def genotype(self) -> Architecture:
        """The architecture that the code of GDAS derives from π."""
        derive = self.prior.space.derive_pairs or self.prior.space.derive
        derived: Architecture = derive(self.prior.marginals().tolist())
        return derived

    def _sample(self, temperature: float) -> Tensor:
        log_p = self.prior.log_probs()
        noise = gumbel(log_p.shape, self.streams.cpu("architectures"))
        return self.by_cell(straight_through(concrete(log_p, noise, temperature)))

    def train_step(self, epoch: int) -> Metrics:
        """A π-step on a validation batch once the warm-up is over, then a v-step on a training batch."""
        rate, losses = self._rate(epoch), {}
        temperature = self._annealed(self.settings.relaxation.gdas_temperature, epoch)
        if self._past_warmup(epoch):
            validation = self.batches.validation(self.step)
            losses["validation_loss"] = loss = self.loss(self._sample(temperature), validation)
            # A sample may cut the output off from every edge; then the loss does not depend on π at all.
            self.step_prior(torch.autograd.grad(loss, self.prior.logits, materialize_grads=True)[0])
        # v-step: a fresh sample, through which no gradient flows to π.
        train = self.batches.training(self.step)
        losses["train_loss"] = loss = self.loss(self._sample(temperature).detach(), train)
        self.backward(loss)
        self.step_weights(rate)
        return self._metrics(rate, losses, temperature=temperature)
