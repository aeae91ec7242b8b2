"""Sample-parallel search: the K architectures of a step are split across ranks; weights are replicated.

All ranks have the same minibatch and sample the same architectures, so a rank needs nothing from another until it has
run its own. Splitting the batch instead would change the statistics of batch norm. Devices must be of one kind:
different kinds draw different random numbers from the same seed, and so different augmentations.
"""

from torch import Tensor

from parsec.network.spaces import Child
from parsec.prior.distribution import ArchitectureBatch
from parsec.runtime.distributed import Ranks
from parsec.search.estimator import OnlineWeights
from parsec.search.executors.base import Executor


class DistributedExecutor:
    """Runs architectures r, r + W, … on rank r of W with `executor`; all ranks get the results of all architectures."""

    def __init__(self, executor: Executor, ranks: Ranks) -> None:
        self.supernet, self.device_driven = executor.supernet, executor.device_driven
        self._executor, self._ranks = executor, ranks

    def logits(self, child: Child, images: Tensor) -> Tensor:
        """Logits (B × classes) of one architecture, without the other ranks."""
        return self._executor.logits(child, images)

    def log_likelihoods(self, children: ArchitectureBatch, images: Tensor, labels: Tensor) -> Tensor:
        """See `Executor.log_likelihoods`; one collective of K numbers."""
        values = labels.new_zeros(len(children)).double()
        own = self._own(children)
        if len(own):
            values[self._ranks.rank :: self._ranks.count] = self._executor.log_likelihoods(own, images, labels)
        # Each entry is zero on all ranks but one, so the sum collects them.
        self._ranks.all_reduce_sum_(values)
        return values

    def add_gradients(
        self, children: ArchitectureBatch, images: Tensor, labels: Tensor, temperature: float, weights: OnlineWeights
    ) -> None:
        """See `Executor.add_gradients`; two collectives and no second buffer."""
        gradient = self.supernet.weights.gradient
        # The gradient of earlier calls is the same on all ranks and must count once: only the main process goes on from
        # `weights`; on the others, empty weights multiply that gradient by exp(−∞) = 0.
        own_weights = weights if self._ranks.is_main_process else OnlineWeights(images.device)
        own = self._own(children)
        if len(own):
            self._executor.add_gradients(own, images, labels, temperature, own_weights)
        # First collective: 4 numbers per rank, the largest log weight m_r and the scaled sums. From them every rank
        # computes the same totals and the factor exp(m_r − m) of its own gradient.
        factors = weights.merge(self._ranks.gather(own_weights.packed()))
        gradient.mul_(factors[self._ranks.rank])
        # Second collective: the sum of the gradients, now all on one scale, in place.
        self._ranks.all_reduce_sum_(gradient)

    def _own(self, children: ArchitectureBatch) -> ArchitectureBatch:
        """The architectures that this rank runs."""
        return children[self._ranks.rank :: self._ranks.count]
