"""Which class the images of a validation folder without class folders have, from the files that people have for it."""

import csv
import gzip
import io
import tarfile
from collections.abc import Callable
from pathlib import Path

from scipy.io import loadmat
from scipy.io.matlab import MatReadError

from parsec.data.sources.encoded import DAMAGED
from parsec.data.sources.listing import ANNOTATIONS, DEVKIT, META, SOLUTION, TRUTH
from parsec.errors import DatasetError

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
    if unknown := next((image for image, found in words.items() if not found), None):
        raise ValueError(f"no class of {unknown}")
    return {image: found[0] for image, found in words.items()}


def _devkit_folder(path: Path) -> Labels:
    return _devkit(lambda name: (path.parent / name).read_bytes())


def _devkit_archive(path: Path) -> Labels:
    # Read to its end, because only there does gzip check what it read; SciPy crashes on some damaged matrices.
    with tarfile.open(fileobj=io.BytesIO(gzip.decompress(path.read_bytes()))) as tar:

        def content(name: str) -> bytes:
            file = tar.extractfile(name)
            if file is None:
                raise ValueError(f"{name} is no file")
            return file.read()

        return _devkit(content)


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
    DEVKIT: _devkit_folder,
    f"{DEVKIT}.tar.gz": _devkit_archive,
}
