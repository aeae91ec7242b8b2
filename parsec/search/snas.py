"""SNAS: samples of the concrete distribution, π and v learnt in one backward pass (Xie et al., ICLR 2019).

Not bilevel: every iteration takes one training batch and one relaxed sample, and both π and v descend its loss. The
temperature falls by equal steps, so that samples approach one operation per edge. The validation split is used for
evaluation only, so that SNAS learns from half of the images that the other methods learn from in as many epochs.
"""

from functools import cached_property

from torch import Tensor

from parsec.network.spaces import multiply_adds
from parsec.search.base import Metrics
from parsec.search.gdas import concrete, gumbel
from parsec.search.relaxed import Relaxed

RESOURCE = {"none": 0.0, "mild": 0.1, "moderate": 0.3, "aggressive": 1.0}
"""Factors of the expected share of multiply-adds in the loss; the values are ours: SNAS gives the levels none."""


class Snas(Relaxed):
    """SNAS with a resource constraint on the expected multiply-adds."""

    selection = (
        "derived from π after the last epoch (DARTS space: the two strongest edges of a node, where SNAS keeps all; "
        "NAS-Bench-201: the argmax of every edge), chosen without looking at any accuracy; π and v saw the training "
        "split, and no test image was read"
    )
    passes = (1, 1)

    @cached_property
    def _shares(self) -> Tensor:
        """Multiply-adds of every primitive (C × E × O) as a share of those of the largest on every edge together."""
        counted = multiply_adds(self.prior.space, self.settings.network, self.task.augment.image_size)
        return counted / counted.amax(-1).sum()

    def expected_share(self) -> Tensor:
        """Expected multiply-adds of the edges under π, between 0 and 1: linear in π."""
        return (self.by_cell(self.prior.log_probs().exp()) * self._shares).sum()

    def train_step(self, epoch: int) -> Metrics:
        """One backward pass on a training batch gives the gradients of both π and v."""
        rate, temperature = self._rate(epoch), self._annealed(self.settings.relaxation.snas_temperature, epoch)
        # A sample of the concrete distribution: softmax((log p + Gumbel noise) / temperature).
        log_p = self.prior.log_probs()
        soft = concrete(log_p, gumbel(log_p.shape, self.streams.cpu("architectures")), temperature)
        loss = self.loss(self.by_cell(soft), self.batches.training(self.step))
        # The resource constraint adds the expected multiply-adds; the code of SNAS adds a logarithm of several costs.
        factor = RESOURCE[self.settings.relaxation.resource]
        self.backward(loss if factor == 0.0 else loss + (factor * self.expected_share()).to(loss.device))
        if self._past_warmup(epoch):
            self.step_prior(self.prior.logits.grad)
        self.step_weights(rate)
        return self._metrics(rate, {"train_loss": loss}, temperature=temperature)
