"""Benchmarks of loading and decoding images."""

import tempfile
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from parsec.bench.harness import Comparison, Rates, Step, Target, compare
from parsec.bench.workload import SEED, BenchJob
from parsec.config.datasets import Digits, PrepareJob
from parsec.config.training import Augmentation
from parsec.data.augment import Augment
from parsec.data.dataset import DatasetInfo, PackedSplit, Pixels, open_split, read_info
from parsec.data.loader import AnyImages, Images, PackedImages, epoch_order
from parsec.data.prepare import prepare
from parsec.data.vision import torchvision
from parsec.runtime.rng import ShardedRNG, generator

BATCH = 64
PACKED_ROUNDS = 5
SIDE = 224
MUST = 1.5
"""Images per second, as a multiple of torchvision's with as many workers."""


def packed_comparison(
    job: BenchJob, info: DatasetInfo, split: PackedSplit, device: torch.device, workers: int, folder: Path
) -> Comparison:
    """An epoch over a packed split, and over the same JPEGs written below `folder` as files."""
    augmentation = Augmentation(crop="resized", size=min(SIDE, info.image_size))
    augment = Augment(augmentation, info, torch.channels_last)
    reference = f"torchvision's ImageFolder, {workers} worker{'s' * (workers > 1)}"
    ours = f"packed, {torch.get_num_threads()} threads"
    changes = _changes(torchvision.transforms.RandomResizedCrop(augment.image_size), info)
    files = torchvision.datasets.ImageFolder(str(_files(split, folder / "files")), changes)
    return Comparison(
        title=f"{info.name}, {len(split)} JPEGs: random box resized to {augment.image_size}, mirror, normalise",
        unit="images",
        work=len(split) // BATCH * BATCH,
        reference=reference,
        steps={
            reference: _loader(files, device, workers),
            ours: partial(_epoch, PackedImages(split, device, SEED), augment, device),
        },
        rounds=job.rounds or PACKED_ROUNDS,
        # Workers are other processes, and torch does not see what decodes.
        counted_as={reference: None, ours: None},
        targets=(Target((ours,), "speedup", MUST),),
    )


def _files(split: PackedSplit, root: Path) -> Path:
    """The same bytes, one file per image and one folder per class."""
    for position, label in enumerate(split.labels):
        path = root / f"{label:04d}" / f"{position:06d}.jpg"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(split.jpeg(position).tobytes())
    return root


def _loader(dataset: Dataset[tuple[Tensor, int]], device: torch.device, workers: int) -> Step:
    """An epoch through PyTorch's loader, as its own ImageNet example and tutorials load training images."""
    loader = DataLoader(
        dataset,
        BATCH,
        shuffle=True,
        num_workers=workers,
        persistent_workers=workers > 0,
        drop_last=True,
        pin_memory=device.type == "cuda",
        generator=generator(SEED, "torchvision order"),
    )

    def step() -> None:
        for images, labels in loader:
            images.to(device, non_blocking=True)
            labels.to(device, non_blocking=True)

    return step


def _changes(crop: Callable[[Any], Any], info: DatasetInfo) -> Callable[[Any], Tensor]:
    """Torchvision's transforms of one image: crop, mirror, normalise."""
    transforms = torchvision.transforms
    normalise = transforms.Normalize(info.mean, info.std)
    changes: Callable[[Any], Tensor] = transforms.Compose(
        [crop, transforms.RandomHorizontalFlip(), transforms.ToTensor(), normalise]
    )
    return changes


ROUNDS = 7
IMAGES, PAPER_IMAGES = 2048, 25_000
MOST_WORKERS = 8
RESIDENT, MAPPED = "resident", "memory-mapped"


def bench_loader(job: BenchJob, device: torch.device, rates: Rates, data: Path | None) -> Iterator[dict[str, Any]]:
    """An epoch over a split of the data set in `data`, or of scikit-learn's digits."""
    with tempfile.TemporaryDirectory() as folder:
        if data is None:
            data = Path(folder)
            prepare(PrepareJob(name="digits", dataset=Digits(source="digits")), data)
        yield compare(_comparison(job, data, device, Path(folder)).only(job.contender), device, rates)


def _comparison(job: BenchJob, data: Path, device: torch.device, folder: Path) -> Comparison:
    info, limit = read_info(data), 2 * BATCH if job.tiny else PAPER_IMAGES if job.paper else IMAGES
    split = open_split(data, "train", limit)
    workers = min(torch.get_num_threads(), MOST_WORKERS)
    if isinstance(split, PackedSplit):
        return packed_comparison(job, info, split, device, workers, folder)
    augmentation = Augmentation(padding=info.image_size // 8)
    crop = torchvision.transforms.RandomCrop(info.image_size, padding=augmentation.padding)
    images = _ImageByImage(split.read(np.arange(len(split))), split.labels.tolist(), _changes(crop, info))
    reference = f"torchvision, {workers} worker{'s' * (workers > 1)}"
    baselines = {reference: _loader(images, device, workers), "torchvision, no worker": _loader(images, device, 0)}
    augment = Augment(augmentation, info, torch.channels_last)
    ours = {RESIDENT: Images(split, device), MAPPED: Images(split, device, resident_bytes=0)}
    return Comparison(
        title=f"{info.name}, {len(split)} images of {info.image_size} × {info.image_size}: shift, mirror, normalise",
        unit="images",
        work=len(split) // BATCH * BATCH,
        reference=reference,
        steps=baselines | {name: partial(_epoch, held, augment, device) for name, held in ours.items()},
        rounds=job.rounds or ROUNDS,
        # Workers are other processes, and torch does not see what is read from a memory map.
        counted_as={**dict.fromkeys(baselines), MAPPED: RESIDENT},
    )


def _epoch(images: AnyImages, augment: Augment, device: torch.device) -> None:
    """An epoch as a search reads it, with every batch begun while the one before is used."""
    rng = ShardedRNG(generator(SEED, "training augmentation", device=device))
    batches = epoch_order(len(images), BATCH, SEED, "training order", 0)
    for step, indices in enumerate(batches):
        if step + 1 < len(batches):
            images.ahead(batches[step + 1], augment, rng, step + 1)
        images.train(indices, augment, rng, step)


class _ImageByImage(Dataset[tuple[Tensor, int]]):
    """Images in memory, turned into a PIL image and transformed one by one, as torchvision's own data sets are."""

    def __init__(self, pixels: Pixels, labels: list[int], transform: Callable[[Any], Tensor]) -> None:
        self.pixels, self.labels, self.transform = pixels, labels, transform

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, index: int) -> tuple[Tensor, int]:
        return self.transform(Image.fromarray(self.pixels[index])), self.labels[index]
