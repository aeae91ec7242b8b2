"""Sample-parallel search: the K children of a step shared out over ranks, each of which holds all of v.

All ranks have the same minibatch and draw the same children, so that a rank needs nothing from another until it has
run its own. Splitting the batch instead would change the statistics of batch norm. Devices must be of one kind: another
kind makes other random numbers of the same seed, and with them other augmentations.
"""

from torch import Tensor

from parsec.network.spaces import Child
from parsec.prior.distribution import ArchitectureBatch
from parsec.runtime.distributed import Ranks
from parsec.search.estimator import OnlineWeights
from parsec.search.executors.base import Executor


def over_ranks(executor: Executor, ranks: Ranks) -> Executor:
    """An executor that gives every rank its share of the children; `executor` itself if there is one rank."""
    return DistributedExecutor(executor, ranks) if ranks.count > 1 else executor


class DistributedExecutor:
    """Runs children r, r + W, … on rank r of W with `executor`; the results are those of all, the same on all ranks."""

    def __init__(self, executor: Executor, ranks: Ranks) -> None:
        self.supernet, self.device_driven = executor.supernet, executor.device_driven
        self._executor, self._ranks = executor, ranks

    def logits(self, child: Child, images: Tensor) -> Tensor:
        """Logits (B × classes) of one child, without the other ranks."""
        return self._executor.logits(child, images)

    def log_likelihoods(self, children: ArchitectureBatch, images: Tensor, labels: Tensor) -> Tensor:
        """See `Executor.log_likelihoods`; one collective of K numbers, to which every rank adds its own."""
        values = labels.new_zeros(len(children)).double()
        mine = self._share(children)
        if len(mine):
            values[self._ranks.rank :: self._ranks.count] = self._executor.log_likelihoods(mine, images, labels)
        self._ranks.all_reduce_sum_(values)
        return values

    def add_gradients(
        self, children: ArchitectureBatch, images: Tensor, labels: Tensor, temperature: float, weights: OnlineWeights
    ) -> None:
        """See `Executor.add_gradients`; two collectives and no second buffer.

        First the ranks' largest log weights and scaled sums (4 numbers each), from which every rank computes the same
        totals and its own factor exp(m_r − m); then the sum of the gradients so rescaled, in place.
        """
        gradient = self.supernet.bank.gradient
        # What children before this call left is the same on all ranks, and counts once: with weights that saw nothing,
        # the others multiply it by exp(−∞).
        own = weights if self._ranks.is_main_process else OnlineWeights(images.device)
        mine = self._share(children)
        if len(mine):
            self._executor.add_gradients(mine, images, labels, temperature, own)
        factors = weights.merge(self._ranks.gather(own.packed()))
        gradient.mul_(factors[self._ranks.rank])
        self._ranks.all_reduce_sum_(gradient)

    def _share(self, children: ArchitectureBatch) -> ArchitectureBatch:
        return children[self._ranks.rank :: self._ranks.count]
