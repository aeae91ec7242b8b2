"""Images in ImageNet's layout as people have it: folders a class, a flat `val`, or ILSVRC2012's archives."""

from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np

from parsec.data.sources.archives import classes_of, pieces
from parsec.data.sources.base import Source
from parsec.data.sources.encoded import Encoded, Piece, Square, squared
from parsec.data.sources.validation_labels import validation_labels
from parsec.data.vision import torchvision
from parsec.errors import DatasetError
from parsec.runtime.seeds import seed_of
from parsec.settings.base import expanded
from parsec.settings.datasets import ImageFolder

ARCHIVES = {"train": "ILSVRC2012_img_train.tar", "val": "ILSVRC2012_img_val.tar"}
Named = tuple[str, Piece]
"""Class and place of an image."""


def _in_class_folders(root: Path) -> Iterator[Named]:
    try:
        listing = torchvision.datasets.ImageFolder(str(root))
    except OSError as error:
        raise DatasetError(f"{root} is not an image folder: {' '.join(str(error).split())}") from error
    return ((listing.classes[label], Piece(path)) for path, label in listing.samples)


def _flat(folder: Path, named: Iterable[tuple[str, Piece]]) -> Iterator[Named]:
    """Images of `val` by the labels that lie beside it."""
    labels = validation_labels(folder)
    for name, piece in named:
        if (stem := Path(name).stem) not in labels:
            raise DatasetError(f"{folder}: nothing says the class of {name}; remove it or mend the list of labels")
        yield labels[stem], piece


def _flat_files(root: Path) -> list[Path]:
    """Images of a `val` without class folders, or of Tiny-ImageNet's `val/images`."""
    extensions = torchvision.datasets.folder.IMG_EXTENSIONS
    below = root / "images" if (root / "val_annotations.txt").exists() else root
    return sorted(path for path in below.iterdir() if path.suffix.lower() in extensions)


def _found(folder: Path, part: str) -> Iterator[Named]:
    root, archive = folder / part, folder / ARCHIVES[part]
    if root.is_dir():
        if part == "val" and (files := _flat_files(root)):
            return _flat(folder, ((path.name, Piece(str(path))) for path in files))
        return _in_class_folders(root)
    if not archive.is_file():
        raise DatasetError(
            f"no folder {root}; an image folder holds train/<class>/ and val/<class>/, or ILSVRC2012's archives"
        )
    return classes_of(archive) if part == "train" else _flat(folder, sorted(pieces(archive)))


def _collection(named: list[Named], classes: tuple[str, ...], square: Square) -> Encoded:
    label_of = {name: label for label, name in enumerate(classes)}
    labels = np.array([label_of[name] for name, _ in named], dtype=np.int64)
    return Encoded([piece for _, piece in named], labels, np.arange(len(named)), square)


def _check_same_classes(training: set[str], test: set[str], folder: Path) -> None:
    for here, there, fewer in ((training, test, "val"), (test, training, "train")):
        if missing := sorted(here - there):
            raise DatasetError(f"{folder / fewer} lacks the class folder {missing[0]} ({len(missing)} differ in all)")


def _drawn(every: list[str], count: int | None, seed: int, folder: Path) -> tuple[str, ...]:
    """So many of the classes, in the order of their names; a larger number keeps those of a smaller one."""
    if count is None:
        return tuple(every)
    if count > len(every):
        raise DatasetError(f"{folder}: has {len(every)} classes, and {count} were asked for; lower `classes`")
    order = np.random.default_rng(seed_of(seed, "classes")).permutation(len(every))
    return tuple(every[index] for index in sorted(order[:count]))


def open_folder(folder: Path, side: int, count: int | None = None, seed: int = 0) -> Source:
    """List the images of a folder; they are decoded later, resized by the short side, their centre kept.

    Args:
        folder: in one of the layouts above.
        side: short side, pixels.
        count: so many classes; None: all.
        seed: of their draw.

    Raises:
        DatasetError: images that are missing, without labels, or whose classes differ between `train` and `val`; or
            fewer classes than asked for.
    """
    training, test = (list(_found(folder, part)) for part in ("train", "val"))
    every = sorted({name for name, _ in training})
    _check_same_classes(set(every), {name for name, _ in test}, folder)
    classes = _drawn(every, count, seed, folder)
    kept = [[(name, piece) for name, piece in named if name in classes] for named in (training, test)]
    sets = [_collection(named, classes, squared(side)) for named in kept]
    return Source(classes, side, sets[0], sets[1], served_by="folder")


def open_image_folder(settings: ImageFolder) -> Source:
    """The image folder that the settings name."""
    folder = Path(expanded(settings.folder, "dataset.folder"))
    return open_folder(folder, settings.image_size, settings.classes, settings.split_seed)
