"""How often a step of the search waits for the GPU."""

import warnings

import pytest
import torch

from parsec.config.base import Compute
from parsec.config.search import Estimator, SearchJob, SearchStage
from parsec.config.training import Augmentation, Network
from parsec.data.augment import Augment
from parsec.data.dataset import open_split, read_info
from parsec.data.loader import Images
from parsec.prior.distribution import Prior
from parsec.runtime.device import acquire_gpu, memory_format, resolve
from parsec.search.base import SearchTask
from parsec.search.parsec import Parsec

STAGE = SearchStage(
    dataset="digits",
    network=Network(cells=3, channels=4),
    epochs=2,
    batch_size=16,
    train_images=800,
    validation_images=160,
    estimator=Estimator(samples=4),
    augmentation=Augmentation(padding=1, cutout=2),
)


@pytest.fixture
def device(deterministic):
    with acquire_gpu(resolve("cuda")) as leased:
        yield leased


def trainer(digits, device, executor):
    compute = Compute(device="cuda", executor=executor)
    job = SearchJob(stage="search", space="darts", method="parsec", settings=STAGE, compute=compute)
    info = read_info(digits)
    task = SearchTask(
        job=job,
        seed=0,
        train=Images(open_split(digits, "train", STAGE.train_images), device),
        validation=Images(open_split(digits, "validation", STAGE.validation_images), device),
        augment=Augment(STAGE.augmentation, info, memory_format("auto")),
        classes=len(info.classes),
        prior=Prior(),
        device=device,
    )
    return Parsec(task)


@pytest.mark.parametrize("executor", ["sequential", "grouped", "fused"])
def test_waits_of_a_step(digits, device, executor):
    """None if the device reads the architectures; the one for K log-likelihoods if the host does."""
    if executor == "fused":
        pytest.importorskip("triton")
    search, steps = trainer(digits, device, executor), 5
    for _ in range(10):
        search.advance()
    search.flush()
    try:
        torch.cuda.set_sync_debug_mode("warn")
        with warnings.catch_warnings(record=True) as waits:
            warnings.simplefilter("always")
            for _ in range(steps):
                assert search.advance() == []
    finally:
        torch.cuda.set_sync_debug_mode("default")
    waits = [wait for wait in waits if "synchroniz" in str(wait.message)]
    expected = 0 if search.executor.device_driven else steps
    assert len(waits) == expected, [f"{wait.filename}:{wait.lineno} {wait.message}" for wait in waits]
    assert len(search.flush()) == steps


def test_cpu_and_gpu_sample_identical_architectures(device):
    prior = Prior()
    noise = torch.randn(prior.mask.shape, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    prior = Prior("separate", torch.where(prior.mask, noise, 0.0))
    drawn = [each.sample(1000, torch.Generator().manual_seed(1)).cpu() for each in (prior, prior.to(device))]
    assert torch.equal(*drawn)
