"""The search on a GPU: equal bytes, the memory of one child, and numbers that agree with float32 and with the CPU."""

import contextlib
from functools import partial

import pytest
import torch
import torch.nn.functional as F

from parsec.config.base import Compute, Running
from parsec.config.search import Estimator, SearchJob, SearchStage
from parsec.config.training import Augmentation, Network
from parsec.network.cell_network import FixedNetwork
from parsec.network.supernet import Supernet
from parsec.prior.distribution import ArchitectureBatch, Prior
from parsec.runtime.device import autocast, memory_format, peak_bytes
from parsec.search.executors.base import weighted_backward
from parsec.search.executors.sequential import SequentialExecutor
from parsec.search.run import search
from parsec.space.darts import NODES, genotype

pytestmark = pytest.mark.usefixtures("deterministic")
CLASSES = 10


def executor(device, network, dtype=torch.float32, precision="float32"):
    supernet = Supernet(network, CLASSES, torch.Generator().manual_seed(0), device, dtype)
    context = partial(autocast, device, precision) if dtype == torch.float32 else contextlib.nullcontext
    return SequentialExecutor(supernet, context)


def batch(device, count, side, dtype=torch.float32):
    rng = torch.Generator().manual_seed(1)
    images = torch.randn(count, 3, side, side, generator=rng, dtype=torch.float64)
    labels = torch.randint(CLASSES, (count,), generator=rng)
    return images.to(device, dtype).contiguous(memory_format=memory_format("auto")), labels.to(device)


def children(count):
    prior = Prior()
    return prior.children(prior.sample(count, torch.Generator().manual_seed(2)))


def of_convolutions():
    """A child without pooling, whose operations are the same in the shared and in the fixed network."""
    primitives = ("sep_conv_3x3", "sep_conv_5x5", "dil_conv_3x3", "dil_conv_5x5")
    cell = [(primitives[(node + slot) % 4], slot) for node in range(NODES) for slot in (0, 1)]
    return genotype(cell, cell)


def test_equal_searches_write_equal_bytes(digits, tmp_path):
    stage = SearchStage(
        dataset="digits",
        network=Network(cells=4, channels=8),
        epochs=2,
        batch_size=64,
        train_images=256,
        validation_images=256,
        estimator=Estimator(samples=8),
        augmentation=Augmentation(padding=1),
    )
    compute = Compute(device="cuda")
    job = SearchJob(stage="search", space="darts", method="parsec", settings=stage, compute=compute)
    for name in "ab":
        search(job, digits, 0, tmp_path / name, tmp_path / "state", None, Running())
    for name in ("pi.parquet", "trajectory.parquet", "genotype.json"):
        assert (tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes()


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_search_step_memory_matches_single_child(precision):
    """Weights and gradients, of the supernet and of the child trained alone, are there before and so not counted."""
    device, network = torch.device("cuda"), Network(cells=8, channels=16)
    images, labels = batch(device, 64, 32)
    child = of_convolutions()
    alone = FixedNetwork(child, network, CLASSES, 32, auxiliary=False)
    alone = alone.to(device, memory_format=memory_format("auto")).train()
    one = executor(device, network, precision=precision)

    def training_step():
        alone.zero_grad(set_to_none=False)
        with autocast(device, precision):
            logits = alone(images)[0]
        F.cross_entropy(logits.double(), labels).backward()

    def search_step(samples):
        one.log_likelihoods(ArchitectureBatch.of([child] * samples), images, labels)
        weighted_backward(one, ArchitectureBatch.of([child] * samples), images, labels)

    training_step()
    search_step(1)
    trained = peak_bytes(training_step, device)
    for samples in (1, 4):
        assert peak_bytes(partial(search_step, samples), device) <= 1.05 * trained


def test_memory_is_independent_of_sample_count():
    device = torch.device("cuda")
    one, (images, labels) = executor(device, Network(cells=8, channels=16)), batch(device, 64, 32)
    some = children(6)
    weighted_backward(one, some, images, labels)
    largest = max(
        peak_bytes(partial(weighted_backward, one, some[k : k + 1], images, labels), device) for k in range(len(some))
    )
    assert peak_bytes(partial(weighted_backward, one, some, images, labels), device) <= 1.05 * largest


def test_bfloat16_losses_are_close_to_float32():
    device, network = torch.device("cuda"), Network(cells=8, channels=16)
    images, labels = batch(device, 64, 32)
    some = children(8)
    full, half = (
        -executor(device, network, precision=precision).log_likelihoods(some, images, labels) / len(labels)
        for precision in ("float32", "bfloat16")
    )
    # Two or three decimal digits of an activation survive; the loss of an untrained network is about log 10.
    torch.testing.assert_close(half, full, rtol=0, atol=0.05)
    assert not torch.equal(half, full)


def test_float64_results_match_cpu():
    network, some = Network(cells=5, channels=4), children(4)
    per_device = []
    for device in map(torch.device, ("cpu", "cuda")):
        one = executor(device, network, torch.float64)
        images, labels = batch(device, 8, 13, torch.float64)
        seen = weighted_backward(one, some, images, labels, temperature=8.0)
        log_likelihoods = one.log_likelihoods(some, images, labels)
        results = (seen.loss, seen.effective_sample_size, log_likelihoods, one.supernet.weights.gradient)
        per_device.append([result.cpu() for result in results])
    for on_cpu, on_gpu in zip(*per_device, strict=True):
        scale = float(on_cpu.abs().max())
        torch.testing.assert_close(on_gpu, on_cpu, rtol=0, atol=1e-9 * scale)
