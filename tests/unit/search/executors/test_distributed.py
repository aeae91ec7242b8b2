"""Children shared out over ranks: the numbers of one rank, to rounding, and the same bytes on all and every time."""

import contextlib

import pytest
import torch

from parsec.config.base import Compute
from parsec.config.training import Network
from parsec.network.supernet import Supernet
from parsec.prior.distribution import ArchitectureBatch
from parsec.runtime.distributed import Ranks
from parsec.search.estimator import OnlineWeights
from parsec.search.executors.base import weighted_backward
from parsec.search.executors.build import build_executor
from parsec.search.executors.distributed import DistributedExecutor
from parsec.search.executors.sequential import SequentialExecutor

SIDE, BATCH, CLASSES = 8, 6, 5
COUNTS = (1, 2, 5, 6)


def executor():
    supernet = Supernet(Network(cells=3, channels=4), CLASSES, torch.Generator().manual_seed(0), dtype=torch.float64)
    return SequentialExecutor(supernet, contextlib.nullcontext)


def batch():
    rng = torch.Generator().manual_seed(1)
    images = torch.randn(BATCH, 3, SIDE, SIDE, generator=rng, dtype=torch.float64)
    return images, torch.randint(CLASSES, (BATCH,), generator=rng)


@pytest.fixture
def children(random_genotype):
    """Six random architectures."""
    return ArchitectureBatch.of([random_genotype(seed) for seed in range(6)])


def in_two_parts(one, children, images, labels):
    """The gradient of children that come in two calls."""
    gradient, weights = one.supernet.weights.gradient.zero_(), OnlineWeights()
    for part in (children[:3], children[3:]):
        one.add_gradients(part, images, labels, 1.0, weights)
    return gradient / weights.total, weights.packed() / weights.total


def everything(one, children):
    """All results of an executor on 1, 2, … children: log-likelihoods, loss, effective sample size and gradient."""
    results = []
    for count in COUNTS:
        likelihoods = one.log_likelihoods(children[:count], *batch())
        one.supernet.weights.gradient.fill_(99.0)
        seen = weighted_backward(one, children[:count], *batch(), temperature=2.0)
        results += [likelihoods, *seen, one.supernet.weights.gradient.clone()]
    return [*results, *in_two_parts(one, children, *batch())]


@pytest.mark.parametrize("ranks", [2, 3])
def test_ranks_equal_one_rank(on_ranks, children, ranks):
    """For as many children as ranks, for more, for an uneven share, and for ranks without any."""
    alone = everything(executor(), children)
    first, *others = on_ranks(ranks, lambda ranks: everything(DistributedExecutor(executor(), ranks), children))
    for result, expected in zip(first, alone, strict=True):
        torch.testing.assert_close(result, expected, rtol=1e-10, atol=1e-10 * float(expected.abs().max()))
    for other in others:
        assert all(map(torch.equal, first, other))


def test_repeats_are_bit_equal(on_ranks, children):
    (first, _), (again, _) = (
        on_ranks(2, lambda ranks: everything(DistributedExecutor(executor(), ranks), children)) for _ in range(2)
    )
    assert all(map(torch.equal, first, again))


def test_rank_runs_its_share_only(on_ranks, children):
    def share(ranks):
        seen, one = [], executor()
        forward = one.logits
        one.logits = lambda child, images: seen.append(child) or forward(child, images)
        weighted_backward(DistributedExecutor(one, ranks), children, *batch())
        return [children.genotypes.index(child) for child in seen]

    assert on_ranks(2, share) == [[0, 2, 4], [1, 3, 5]]


def test_nan_reaches_every_rank(on_ranks, children):
    def spoiled(ranks):
        one = executor()
        if ranks.rank == 1:
            one.logits = lambda child, images: torch.full((BATCH, CLASSES), torch.nan, dtype=torch.float64)
            one.logits = lambda child, images, logits=one.logits: logits(child, images).requires_grad_()
        return weighted_backward(DistributedExecutor(one, ranks), children, *batch()).loss

    assert all(bool(loss.isnan()) for loss in on_ranks(2, spoiled))


@pytest.mark.parametrize(("count", "kind"), [(1, SequentialExecutor), (2, DistributedExecutor)])
def test_only_several_ranks_are_wrapped(count, kind):
    ranks = Ranks(0, count, 0, count)
    assert isinstance(build_executor(executor().supernet, Compute(executor="sequential"), BATCH, SIDE, ranks), kind)
