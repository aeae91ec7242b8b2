"""Loading JPEGs: an epoch of random boxes, resized, mirrored and normalised, against torchvision's image folder."""

from functools import partial
from pathlib import Path

import torch
from torch.utils.data import DataLoader

from parsec.bench.contest import Contest, Target
from parsec.bench.job import BenchJob
from parsec.bench.workload import SEED
from parsec.data.augment import Augment
from parsec.data.dataset import DatasetInfo
from parsec.data.order import epoch_order
from parsec.data.packed.images import PackedImages
from parsec.data.packed.part import PackedPart
from parsec.runtime.draws import Draws
from parsec.runtime.randomness import generator
from parsec.settings.training import Augmentation

BATCH = 64
ROUNDS = 5
SIDE = 224
MUST = 1.5
"""Images a second, as a multiple of torchvision's with as many workers."""


def packed_contest(
    job: BenchJob, info: DatasetInfo, part: PackedPart, device: torch.device, workers: int, folder: Path
) -> Contest:
    """An epoch over a packed part, and over the same JPEGs written below `folder` as files."""
    augmentation = Augmentation(crop="resized", size=min(SIDE, info.image_size))
    augment = Augment(augmentation, info, torch.channels_last)
    reference = f"torchvision's ImageFolder, {workers} worker{'s' * (workers > 1)}"
    ours = f"packed, {torch.get_num_threads()} threads"
    files = _files(part, folder / "files")
    return Contest(
        title=f"{info.name}, {len(part)} JPEGs: random box resized to {augment.image_size}, mirror, normalise",
        unit="images",
        work=len(part) // BATCH * BATCH,
        reference=reference,
        steps={
            reference: partial(_torchvision, _loader(files, info, augment.image_size, device, workers), device),
            ours: partial(_packed, PackedImages(part, device, SEED), augment, device),
        },
        rounds=job.rounds or ROUNDS,
        # Workers are other processes, and torch does not see what decodes.
        counted_as={reference: None, ours: None},
        targets=(Target((ours,), "speedup", MUST),),
    )


def _packed(images: PackedImages, augment: Augment, device: torch.device) -> None:
    draws = Draws(generator(SEED, "training augmentation", device=device))
    batches = epoch_order(len(images), BATCH, SEED, "training order", 0)
    for step, indices in enumerate(batches):
        if step + 1 < len(batches):
            images.ahead(batches[step + 1], augment, draws, step + 1)
        images.train(indices, augment, draws, step)


def _files(part: PackedPart, root: Path) -> Path:
    """The same bytes, a file an image, a folder a class."""
    for position, label in enumerate(part.labels):
        path = root / f"{label:04d}" / f"{position:06d}.jpg"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(part.jpeg(position).tobytes())
    return root


def _loader(
    files: Path, info: DatasetInfo, side: int, device: torch.device, workers: int
) -> DataLoader[tuple[torch.Tensor, int]]:
    """As PyTorch's own ImageNet example loads its training images."""
    from parsec.data.vision import torchvision  # takes seconds to import

    transforms = torchvision.transforms
    changes = [
        transforms.RandomResizedCrop(side),
        transforms.RandomHorizontalFlip(),
        transforms.ToTensor(),
        transforms.Normalize(info.mean, info.std),
    ]
    return DataLoader(
        torchvision.datasets.ImageFolder(str(files), transforms.Compose(changes)),
        BATCH,
        shuffle=True,
        num_workers=workers,
        persistent_workers=workers > 0,
        drop_last=True,
        pin_memory=device.type == "cuda",
        generator=generator(SEED, "torchvision order"),
    )


def _torchvision(loader: DataLoader[tuple[torch.Tensor, int]], device: torch.device) -> None:
    for images, labels in loader:
        images.to(device, non_blocking=True)
        labels.to(device, non_blocking=True)
