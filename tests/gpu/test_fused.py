"""Executor `fused` on a GPU: kernels and their replay equal executor `sequential`, without waiting."""

import contextlib
from functools import partial

import pytest
import torch

from parsec.config.training import Network
from parsec.network.kernels import reference
from parsec.network.supernet import Supernet
from parsec.prior.distribution import ArchitectureBatch
from parsec.search.executors.base import weighted_backward
from parsec.search.executors.cuda_graph import CUDAGraphRunner
from parsec.search.executors.fused import FusedExecutor
from parsec.search.executors.sequential import SequentialExecutor
from parsec.space.darts import NODES, PRIMITIVES

pytestmark = pytest.mark.usefixtures("deterministic", "full_float32")
pytest.importorskip("triton")
CUDA, CHILDREN, CLASSES = torch.device("cuda"), 6, 10
SMALL = Network(cells=3, channels=16)
bfloat16 = partial(torch.autocast, "cuda", dtype=torch.bfloat16)


def supernet(network=SMALL):
    return Supernet(network, CLASSES, torch.Generator().manual_seed(0), device=CUDA)


def random_children(seed, count=CHILDREN):
    """Random architectures that never were on the host."""
    rng = torch.Generator(CUDA).manual_seed(seed)
    inputs = [torch.randint(node + 2, (count, 2, 1, 2), generator=rng, device=CUDA) for node in range(NODES)]
    primitives = torch.randint(len(PRIMITIVES), (count, 2, NODES, 2), generator=rng, device=CUDA)
    return ArchitectureBatch(torch.stack([torch.cat(inputs, 2), primitives], -1))


def batch(seed=0, side=32, count=16):
    rng = torch.Generator(CUDA).manual_seed(seed)
    images = torch.randn(count, 3, side, side, generator=rng, device=CUDA)
    labels = torch.randint(CLASSES, (count,), generator=rng, device=CUDA)
    return images.contiguous(memory_format=torch.channels_last), labels


def step(executor, children, images, labels, temperature=4.0):
    """Log-likelihoods, loss, effective sample size, gradient."""
    likelihoods = executor.log_likelihoods(children, images, labels).clone()
    seen = weighted_backward(executor, children, images, labels, temperature)
    return likelihoods, seen.loss, seen.effective_sample_size, executor.supernet.weights.gradient.clone()


def assert_close(result, expected, rtol, atol):
    """Gradients to a share of the largest one, all else relatively."""
    torch.testing.assert_close(result[:3], expected[:3], rtol=rtol, atol=0)
    scale = float(expected[3].abs().max())
    torch.testing.assert_close(result[3], expected[3], rtol=0, atol=atol * scale)


@pytest.mark.parametrize("in_flight", [1, 4, None])
@pytest.mark.parametrize(
    ("network", "side"),
    [(SMALL, 32), (Network(cells=4, channels=36), 15), (Network(cells=3, channels=12, stem="imagenet"), 97)],
)
def test_kernels_and_replay_equal_sequential(network, side, in_flight):
    net, (images, labels), children = supernet(network), batch(side=side), random_children(0)
    expected = step(SequentialExecutor(net, contextlib.nullcontext), children, images, labels)
    fused = FusedExecutor(net, contextlib.nullcontext, in_flight)
    result = step(fused, children, images, labels)
    assert_close(result, expected, 1e-4, 2e-3)
    again = step(CUDAGraphRunner(fused), children, images, labels)
    assert all(torch.equal(left, right) for left, right in zip(result, again, strict=True)), "a replay changes nothing"


def test_kernels_match_reference_on_same_device():
    net, (images, labels), children = supernet(), batch(), random_children(1)
    plain = step(FusedExecutor(net, contextlib.nullcontext, launches=reference), children, images, labels)
    assert_close(step(FusedExecutor(net, contextlib.nullcontext), children, images, labels), plain, 1e-4, 2e-3)


def test_bfloat16_matches_sequential_executor_within_rounding():
    net, (images, labels), children = supernet(), batch(), random_children(2)
    expected = step(SequentialExecutor(net, bfloat16), children, images, labels, temperature=1e3)
    result = step(FusedExecutor(net, bfloat16), children, images, labels, temperature=1e3)
    torch.testing.assert_close(result[:2], expected[:2], rtol=0.03, atol=0)
    assert torch.cosine_similarity(result[3], expected[3], dim=0) > 0.95


def test_graph_replays_new_children_without_sync():
    net = supernet()
    fused = FusedExecutor(net, bfloat16, skip_negligible=True)
    batches, children = [batch(seed) for seed in range(3)], [random_children(s) for s in range(3)]
    replay = CUDAGraphRunner(fused)
    expected = [step(fused, some, *data) for some, data in zip(children, batches, strict=True)]
    step(replay, children[0], *batches[0])
    replayed = []
    torch.cuda.synchronize()
    torch.cuda.set_sync_debug_mode("error")
    try:
        for some, data in zip(children, batches, strict=True):
            replayed.append(step(replay, some, *data))
    finally:
        torch.cuda.set_sync_debug_mode("default")
    for left, right in zip(replayed, expected, strict=True):
        assert all(torch.equal(*pair) for pair in zip(left, right, strict=True))
    assert not torch.equal(replayed[0][0], replayed[1][0])


def test_new_child_count_triggers_graph_recapture():
    net, (images, labels) = supernet(), batch()
    fused = FusedExecutor(net, contextlib.nullcontext)
    replay = CUDAGraphRunner(fused)
    for count in (4, 2, 4):
        children = random_children(3, count)
        expected = step(fused, children, images, labels)
        assert all(map(torch.equal, step(replay, children, images, labels), expected))


def test_steps_are_bitwise_reproducible():
    net, (images, labels), children = supernet(), batch(), random_children(4)
    first, second = (step(CUDAGraphRunner(FusedExecutor(net, bfloat16)), children, images, labels) for _ in range(2))
    assert all(map(torch.equal, first, second))
