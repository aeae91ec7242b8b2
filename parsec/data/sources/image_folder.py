"""Images in the layouts in which ImageNet is kept: one folder per class, a flat `val`, or ILSVRC2012's archives."""

import csv
import gzip
import io
import itertools
import tarfile
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path, PurePosixPath

import numpy as np
from PIL import Image
from scipy.io import loadmat
from scipy.io.matlab import MatReadError

from parsec.config.base import expanded, seed_of
from parsec.config.datasets import DigitsFolder, ImageFolder
from parsec.data.sources.base import CLASSES, SIDE, Source, open_digits
from parsec.data.sources.cifar import member
from parsec.data.sources.encoded import DAMAGED, Encoded, Piece, Square, squared
from parsec.data.sources.listing import (
    ANNOTATIONS,
    ARCHIVES,
    DEVKIT,
    EXTENSIONS,
    META,
    SOLUTION,
    TRUTH,
    Folder,
    Listing,
    check_name,
    list_images,
    printable,
)
from parsec.errors import DatasetError
from parsec.runtime.logs import logger


def _files_of(archive: Path, start: int = 0) -> Iterator[tuple[str, Piece]]:
    """Name and position of every file of the archive that begins at byte `start` of a file."""
    try:
        with archive.open("rb") as file:
            file.seek(start)
            with tarfile.open(fileobj=file, mode="r:") as tar:
                for entry in tar:
                    if entry.isfile():
                        check_name(str(archive), entry.name)
                        yield entry.name, Piece(str(archive), entry.offset_data, entry.size)
    except (*DAMAGED, tarfile.TarError) as error:
        raise DatasetError(f"{archive} is no intact tar archive ({error}); get it again") from error


def _images_of_class_archives(archive: Path) -> Iterator[tuple[str, Piece]]:
    """Class and location of every image of an archive with one archive per class, as ILSVRC2012's training images."""
    for name, inner in _files_of(archive):
        for _, image in _files_of(archive, inner.offset):
            yield PurePosixPath(name).stem, image


Labels = dict[str, str]
"""Class by the name of the image without its ending."""


def validation_labels(folder: Path) -> Labels:
    """The classes, from the first that is there: Tiny-ImageNet's annotations, Kaggle's solution, ILSVRC2012's devkit.

    Raises:
        DatasetError: none of them is there, or the one that is cannot be read.
    """
    for name, read in _READERS.items():
        if (path := folder / name).is_file() or path.is_dir():
            try:
                return read(path)
            except (*DAMAGED, csv.Error, tarfile.TarError, MatReadError) as error:
                raise DatasetError(f"{path} is damaged ({' '.join(str(error).split())}); get it again") from error
    raise DatasetError(
        f"{folder}: the images of val lie in no class folders, and nothing says their classes; put "
        f"{DEVKIT}.tar.gz, {SOLUTION} or {ANNOTATIONS} there, or sort them into val/<class>/"
    )


def _annotations(path: Path) -> Labels:
    rows = [line.split("\t") for line in path.read_text(encoding="utf-8").splitlines()]
    if short := next((number for number, row in enumerate(rows, 1) if len(row) < 2), None):
        raise ValueError(f"line {short} names no class")
    return {Path(row[0]).stem: row[1] for row in rows}


def _solution(path: Path) -> Labels:
    with path.open(newline="", encoding="utf-8") as file:
        rows = csv.DictReader(file)
        if missing := {"ImageId", "PredictionString"} - set(rows.fieldnames or ()):
            raise ValueError(f"no column {min(missing)}")
        words = {row["ImageId"]: (row["PredictionString"] or "").split() for row in rows}
    if unknown := next((image for image, prediction in words.items() if not prediction), None):
        raise ValueError(f"no class of {unknown}")
    return {image: prediction[0] for image, prediction in words.items()}


def _devkit_archive(path: Path) -> Labels:
    # Read to its end, because only there does gzip check what it read; SciPy crashes on some damaged matrices.
    with tarfile.open(fileobj=io.BytesIO(gzip.decompress(path.read_bytes()))) as tar:
        return _devkit(lambda name: member(tar, name))


def _devkit(content: Callable[[str], bytes]) -> Labels:
    """Image i of the validation set has the class whose ILSVRC2012_ID stands in line i of the ground truth."""
    meta = loadmat(io.BytesIO(content(META)), squeeze_me=True)
    if "synsets" not in meta:
        raise ValueError(f"{META} holds no synsets")
    synsets = meta["synsets"]
    name_of = {int(number): str(name) for number, name in zip(synsets["ILSVRC2012_ID"], synsets["WNID"], strict=True)}
    numbers = [int(number) for number in content(TRUTH).decode().split()]
    if unknown := set(numbers) - name_of.keys():
        raise ValueError(f"{TRUTH} holds the class {min(unknown)}, which {META} does not name")
    return {f"ILSVRC2012_val_{i:08d}": name_of[number] for i, number in enumerate(numbers, 1)}


_READERS: dict[str, Callable[[Path], Labels]] = {
    ANNOTATIONS: _annotations,
    SOLUTION: _solution,
    DEVKIT: lambda path: _devkit(lambda name: (path.parent / name).read_bytes()),
    f"{DEVKIT}.tar.gz": _devkit_archive,
}


Named = tuple[str, Piece]
"""Class and location of an image."""


def _in_class_folders(listing: Listing, folders: list[Folder]) -> Iterator[Named]:
    """Images by the first folder below the root that they lie in."""
    _check_one_class_each(listing)
    if not folders:
        raise DatasetError(f"{listing.root}: holds no class folders; put images into {listing.root}/<class>/")
    by_class = sorted((folder.relative.partition("/")[0], folder) for folder in folders)
    for label, inner in itertools.groupby(by_class, key=lambda pair: pair[0]):
        images = [f"{listing.root}/{folder.relative}/{name}" for _, folder in inner for name in folder.images]
        if not images:
            raise DatasetError(f"{listing.root}/{label}: holds no image ({', '.join(EXTENSIONS)}); fill or remove it")
        yield from ((label, Piece(path)) for path in images)


def _check_one_class_each(listing: Listing) -> None:
    """Images that a symbolic link shows in a second class have no class that could be learnt."""
    for repeated, first in listing.repeated:
        here, there = (path.partition("/")[0] if "/" in path else "" for path in (repeated, first))
        if here and there and here != there:
            raise DatasetError(
                f"{listing.root}: {first} and {repeated} are the same by a link; remove one of the two classes"
            )


def _flat(folder: Path, named: Iterable[tuple[str, Piece]]) -> Iterator[Named]:
    """Images of `val` by the labels that lie beside it."""
    labels = validation_labels(folder)
    for name, piece in named:
        if (stem := Path(name).stem) not in labels:
            raise DatasetError(f"{folder}: nothing says the class of {name}; remove it or fix the list of labels")
        yield labels[stem], piece


def _labelled(folder: Path, split: str) -> Iterator[Named]:
    root, archive = folder / split, folder / ARCHIVES[split]
    if root.is_dir():
        return _listed(folder, list_images(root), split)
    if not archive.is_file():
        raise DatasetError(
            f"no folder {root}; an image folder holds train/<class>/ and val/<class>/, or ILSVRC2012's archives"
        )
    return _images_of_class_archives(archive) if split == "train" else _flat(folder, sorted(_files_of(archive)))


def _listed(folder: Path, listing: Listing, split: str) -> Iterator[Named]:
    """Images of class folders if there are any, else those of a flat `val`."""
    for what, paths in (
        ("hidden files and folders", listing.hidden),
        ("links to what is listed already", [path for path, _ in listing.repeated]),
    ):
        _say_left_out(listing, what, paths)
    top, *below = listing.folders
    if split == "val":
        # Tiny-ImageNet's images lie in a folder that is no class.
        images = [inner for inner in below if inner.relative == "images" and (folder / ANNOTATIONS).is_file()]
        flat = next((inner for inner in images if inner.images), top)
        if flat is not top or (top.images and not any(inner.images for inner in below)):
            return _flat(folder, [(name, Piece(str(Path(listing.root, flat.relative, name)))) for name in flat.images])
    _say_left_out(listing, "images beside the class folders", top.images)
    return _in_class_folders(listing, below)


def _say_left_out(listing: Listing, what: str, paths: list[str]) -> None:
    if paths:
        logger.info("%s: %s left out: %d, the first %s", listing.root, what, len(paths), printable(paths[0]))


def _collection(named: list[Named], classes: tuple[str, ...], square: Square) -> Encoded:
    """The images of these classes, in order."""
    label_of = {name: label for label, name in enumerate(classes)}
    kept = [(label_of[name], piece) for name, piece in named if name in label_of]
    labels = np.array([label for label, _ in kept], dtype=np.int64)
    return Encoded([piece for _, piece in kept], labels, np.arange(len(kept)), square)


def _check_same_classes(training: set[str], test: set[str], folder: Path) -> None:
    for here, there, fewer in ((training, test, "val"), (test, training, "train")):
        if missing := sorted(here - there):
            raise DatasetError(f"{folder / fewer} lacks the class folder {missing[0]} ({len(missing)} differ in all)")


def _check_several_classes(root: Path, classes: list[str]) -> None:
    if len(classes) > 1:
        return
    deeper = sorted(path.name for name in classes for path in (root / name).glob("*/") if not path.name.startswith("."))
    problem, remedy = f"one class only, {classes[0]}" if classes else "no class", "a data set needs two or more"
    if deeper:
        remedy = (
            f"class folders lie one level deeper: move {deeper[0]} and all beside it from {root / classes[0]} to {root}"
        )
    raise DatasetError(f"{root}: {problem}; {remedy}")


def _drawn(every: list[str], count: int | None, seed: int, folder: Path) -> tuple[str, ...]:
    """`count` random classes, in the order of their names; a larger count keeps those of a smaller one."""
    if count is None:
        return tuple(every)
    if count > len(every):
        raise DatasetError(f"{folder}: has {len(every)} classes, and {count} were asked for; lower `classes`")
    order = np.random.default_rng(seed_of(seed, "classes")).permutation(len(every))
    return tuple(every[index] for index in sorted(order[:count]))


def open_folder(folder: Path, side: int, count: int | None = None, seed: int = 0) -> Source:
    """List the images of a folder; they are decoded later, the short side resized to `side` pixels, the centre kept.

    `count` classes are chosen at random with `seed`; None: all are taken.

    Raises:
        DatasetError: images that are missing, without labels, or whose classes differ between `train` and `val`; or
            fewer classes than asked for.
    """
    if (folder / "test").is_dir():
        logger.info("%s is not read: the test set is val", folder / "test")
    training, test = (list(_labelled(folder, split)) for split in ARCHIVES)
    every, tested = (sorted({name for name, _ in named}) for named in (training, test))
    for split, names in (("train", every), ("val", tested)):
        _check_several_classes(folder / split, names)
    _check_same_classes(set(every), set(tested), folder)
    classes = _drawn(every, count, seed, folder)
    sets = [_collection(named, classes, squared(side)) for named in (training, test)]
    return Source(classes, side, sets[0], sets[1], served_by="folder")


def open_image_folder(settings: ImageFolder) -> Source:
    """The image folder that the settings name."""
    folder = Path(expanded(settings.folder, "dataset.folder"))
    return open_folder(folder, settings.image_size, settings.classes, settings.split_seed)


def open_digits_folder(settings: DigitsFolder, output: Path) -> Source:
    """The handwritten digits, from PNGs in ImageNet's layout that are first written to `output/folder`."""
    folder, side = output / "folder", settings.image_size
    logger.info("writing the digits as PNGs of %d × %d pixels", side, side)
    for old in folder.glob("*/*/digit-*.png"):
        old.unlink()
    digits = open_digits()
    for name, images in (("train", digits.training), ("val", digits.test)):
        pixels = images.read(np.arange(len(images.labels)))
        for image, label, index in zip(pixels, images.labels, images.indices, strict=True):
            path = folder / name / CLASSES[label] / f"digit-{index:04d}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(image).resize((side, side), Image.Resampling.BICUBIC).save(path)
    sentence = (
        f"scikit-learn's handwritten digits, enlarged from {SIDE} × {SIDE} to {side} × {side} pixels "
        "and written as an image folder, stand in for ImageNet"
    )
    return open_folder(folder, side)._replace(served_by="scikit-learn", stand_in=sentence)
