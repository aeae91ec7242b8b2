"""Which images a folder holds: one listing for `prepare`, and for the plan, which compares its fingerprint.

The workflow imports this file whenever it plans, so that it imports nothing heavy.
"""

import hashlib
import os
from pathlib import Path
from typing import NamedTuple

from parsec.errors import DatasetError

EXTENSIONS = (".jpg", ".jpeg", ".png", ".ppm", ".bmp", ".pgm", ".tif", ".tiff", ".webp")
"""Of images; those of torchvision."""
ARCHIVES = {"train": "ILSVRC2012_img_train.tar", "val": "ILSVRC2012_img_val.tar"}
DEVKIT = "ILSVRC2012_devkit_t12"
META, TRUTH = f"{DEVKIT}/data/meta.mat", f"{DEVKIT}/data/ILSVRC2012_validation_ground_truth.txt"
SOLUTION = "LOC_val_solution.csv"
ANNOTATIONS = "val/val_annotations.txt"
SIZED = 200_000
"""Largest number of images whose sizes are part of the fingerprint; with more, reading sizes would slow every plan."""


class Folder(NamedTuple):
    """A folder and the names of the images in it, sorted."""

    relative: str
    """Path below the root of the listing; empty: the root itself."""
    real: str
    """Path without symbolic links."""
    images: list[str]
    links: set[str]
    """Which of the images are symbolic links."""


class Listing(NamedTuple):
    """The folders below a root, sorted by path; every folder and every image once."""

    root: str
    folders: list[Folder]
    hidden: list[str]
    """Files and folders whose names begin with a dot, left out as what editors and file managers leave behind."""
    repeated: list[tuple[str, str]]
    """Paths that symbolic links repeat, left out, each with the path that is listed; a folder's ends in `/`."""


def list_images(root: Path) -> Listing:
    """List the images below a folder; links are followed, but not to a folder that holds the link or the root.

    Raises:
        DatasetError: a folder that cannot be listed, an image that is no regular file, or a name that is not UTF-8.
    """
    listing, seen = Listing(str(root), [], [], []), dict[str, str]()
    waiting = [("", os.path.realpath(root))]
    try:
        while waiting:
            relative, real = waiting.pop()
            # By real path: a folder that links show again is listed once.
            if real in seen:
                listing.repeated.append((f"{relative}/", f"{seen[real]}/"))
                continue
            seen[real] = relative
            folder = Folder(relative, real, [], set())
            listing.folders.append(folder)
            # The last one is popped first, so this visits folders in the order of their names.
            waiting += reversed(_entered(listing, folder))
    except OSError as error:
        raise DatasetError(f"{error.filename}: cannot be listed ({error.strerror}); make it readable") from error
    listing.folders.sort()
    if any(folder.links for folder in listing.folders):
        _leave_out_linked_twice(listing)
    return listing


def _entered(listing: Listing, folder: Folder) -> list[tuple[str, str]]:
    """Note the images of a folder; relative and real path of the folders in it."""
    inner = []
    with os.scandir(os.path.join(listing.root, folder.relative)) as entries:  # noqa: PTH118 (a million of them)
        for entry in sorted(entries, key=lambda entry: entry.name):
            relative, link = f"{folder.relative}/{entry.name}".lstrip("/"), entry.is_symlink()
            if entry.name.startswith("."):
                listing.hidden.append(relative)
            elif Path(entry.path).is_dir() if link else entry.is_dir():
                check_name(listing.root, relative)
                real = os.path.realpath(entry.path) if link else f"{folder.real}/{entry.name}"
                # A link to a folder that holds this one or the root would lead back to where it is.
                if any(
                    f"{inside}/".startswith(f"{real.rstrip('/')}/") for inside in (folder.real, listing.folders[0].real)
                ):
                    listing.repeated.append((f"{relative}/", ""))
                else:
                    inner.append((relative, real))
            elif entry.name.lower().endswith(EXTENSIONS):
                check_name(listing.root, relative)
                if not (Path(entry.path).is_file() if link else entry.is_file()):
                    raise DatasetError(f"{entry.path} is no regular file; remove it")
                folder.images.append(entry.name)
                folder.links.update([entry.name] if link else [])
    return inner


def check_name(root: str, name: str) -> None:
    """Refuse a name that no text file, such as the record of the data set, could hold.

    Raises:
        DatasetError: it is not UTF-8.
    """
    try:
        name.encode()
    except UnicodeEncodeError as error:
        raise DatasetError(f"{root}: the name {printable(name)} is not UTF-8; rename it") from error


def printable(name: str) -> str:
    """A file's name with escapes in place of bytes that are no UTF-8."""
    return os.fsencode(name).decode("utf-8", "backslashreplace")


def _leave_out_linked_twice(listing: Listing) -> None:
    """Keep the first of an image and all links to it; images that lie in the root itself come last."""
    seen: dict[str, str] = {}
    for folder in sorted(listing.folders, key=lambda folder: (not folder.relative, folder.relative)):
        kept = []
        for name in folder.images:
            relative, path = f"{folder.relative}/{name}".lstrip("/"), f"{folder.real}/{name}"
            real = os.path.realpath(path) if name in folder.links else path
            if real in seen:
                listing.repeated.append((relative, seen[real]))
            else:
                seen[real] = relative
                kept.append(name)
        folder.images[:] = kept


def listing_fingerprint(folder: Path) -> str | None:
    """A hash of what `source: image_folder` finds in a folder: names and sizes of images, archives and labels.

    Names only above `SIZED` images. No times, so that a copy has the fingerprint of its original. None: `train` or
    `val` is gone, as when the source was deleted after its preparation, or cannot be listed.
    """
    digest = hashlib.sha256()
    labels = (META, TRUTH, SOLUTION, ANNOTATIONS, f"{DEVKIT}.tar.gz")
    try:
        if not all((folder / split).is_dir() or (folder / archive).is_file() for split, archive in ARCHIVES.items()):
            return None
        listings = {split: list_images(folder / split) for split in ARCHIVES if (folder / split).is_dir()}
        sized = sum(len(inner.images) for listing in listings.values() for inner in listing.folders) <= SIZED
        for split, listing in listings.items():
            for inner in listing.folders:
                sizes = [os.stat(f"{inner.real}/{name}").st_size for name in inner.images if sized]  # noqa: PTH116
                digest.update(repr((split, inner.relative, inner.images, sizes)).encode())
        for path in (folder / name for name in (*ARCHIVES.values(), *labels)):
            if path.is_file():
                digest.update(repr((path.name, path.stat().st_size)).encode())
    except (DatasetError, OSError):
        return None
    return digest.hexdigest()[:16]
