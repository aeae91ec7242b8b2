"""Which class the images of a validation folder without class folders have, from the files that people have for it."""

import csv
import io
import tarfile
from collections.abc import Callable
from pathlib import Path

from scipy.io import loadmat

from parsec.errors import DatasetError

DEVKIT = "ILSVRC2012_devkit_t12"
META, TRUTH = f"{DEVKIT}/data/meta.mat", f"{DEVKIT}/data/ILSVRC2012_validation_ground_truth.txt"
SOLUTION = "LOC_val_solution.csv"
ANNOTATIONS = "val/val_annotations.txt"
Labels = dict[str, str]
"""Class by the name of the image without its ending."""


def validation_labels(folder: Path) -> Labels:
    """The classes, from the first that is there: Tiny-ImageNet's annotations, Kaggle's solution, ILSVRC2012's devkit.

    Raises:
        DatasetError: none of them is there, or the one that is cannot be read.
    """
    for name, read in _READERS.items():
        if (folder / name).exists():
            try:
                return read(folder / name)
            except (OSError, ValueError, KeyError, IndexError, TypeError, tarfile.TarError) as error:
                raise DatasetError(f"{folder / name} is damaged ({error}); get it again") from error
    raise DatasetError(
        f"{folder}: the images of val lie in no class folders, and nothing says their classes; put "
        f"{DEVKIT}.tar.gz, {SOLUTION} or {ANNOTATIONS} there, or sort them into val/<class>/"
    )


def _annotations(path: Path) -> Labels:
    rows = (line.split("\t") for line in path.read_text(encoding="utf-8").splitlines())
    return {Path(row[0]).stem: row[1] for row in rows}


def _solution(path: Path) -> Labels:
    with path.open(newline="", encoding="utf-8") as file:
        return {row["ImageId"]: row["PredictionString"].split()[0] for row in csv.DictReader(file)}


def _devkit_folder(path: Path) -> Labels:
    return _devkit(lambda name: (path.parent / name).read_bytes())


def _devkit_archive(path: Path) -> Labels:
    with tarfile.open(path) as tar:

        def content(name: str) -> bytes:
            file = tar.extractfile(name)
            if file is None:
                raise ValueError(f"{name} is no file")
            return file.read()

        return _devkit(content)


def _devkit(content: Callable[[str], bytes]) -> Labels:
    """Image i of the validation set has the class whose ILSVRC2012_ID stands in line i of the ground truth."""
    synsets = loadmat(io.BytesIO(content(META)), squeeze_me=True)["synsets"]
    name_of = {int(number): str(name) for number, name in zip(synsets["ILSVRC2012_ID"], synsets["WNID"], strict=True)}
    truth = content(TRUTH).decode().split()
    return {f"ILSVRC2012_val_{i:08d}": name_of[int(number)] for i, number in enumerate(truth, 1)}


_READERS: dict[str, Callable[[Path], Labels]] = {
    ANNOTATIONS: _annotations,
    SOLUTION: _solution,
    DEVKIT: _devkit_folder,
    f"{DEVKIT}.tar.gz": _devkit_archive,
}
