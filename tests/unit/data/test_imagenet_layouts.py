"""ImageNet as people have it: flat validation folders with three kinds of labels, and the archives."""

import csv
import io
import shutil
import tarfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from scipy.io import savemat

from parsec.data.sources.image_folder import DEVKIT, META, SOLUTION, TRUTH, open_folder
from parsec.errors import DatasetError

WNIDS = ("n01440764", "n02102040")
TRUE = (1, 0, 0, 1)
"""Class of every validation image."""


def jpeg(red: int) -> bytes:
    file = io.BytesIO()
    Image.new("RGB", (40, 36), (red, 0, 0)).save(file, "JPEG", quality=95)
    return file.getvalue()


def val_name(i: int) -> str:
    return f"ILSVRC2012_val_{i + 1:08d}.JPEG"


@pytest.fixture
def flat(tmp_path: Path) -> Path:
    """Class folders in `train`, none in `val`; red is 100 · class + number."""
    for label, wnid in enumerate(WNIDS):
        (tmp_path / "train" / wnid).mkdir(parents=True)
        for i in range(2):
            (tmp_path / "train" / wnid / f"{wnid}_{i}.JPEG").write_bytes(jpeg(100 * label + i))
    (tmp_path / "val").mkdir()
    for i, label in enumerate(TRUE):
        (tmp_path / "val" / val_name(i)).write_bytes(jpeg(100 * label + 50))
    return tmp_path


def synsets() -> np.ndarray:
    """Two classes and a parent of theirs, with numbers that are not their places in the alphabet."""
    rows = [(2, WNIDS[0], 0), (1, WNIDS[1], 0), (1001, "n00001740", 2)]
    return np.array(rows, dtype=[("ILSVRC2012_ID", "O"), ("WNID", "O"), ("num_children", "O")])


def devkit_files() -> dict[str, bytes]:
    meta = io.BytesIO()
    savemat(meta, {"synsets": synsets()})
    numbers = {0: 2, 1: 1}
    return {META: meta.getvalue(), TRUTH: "".join(f"{numbers[label]}\n" for label in TRUE).encode()}


def add(tar: tarfile.TarFile, name: str, content: bytes) -> None:
    member = tarfile.TarInfo(name)
    member.size = len(content)
    tar.addfile(member, io.BytesIO(content))


def write_devkit(folder: Path, packed: bool) -> None:
    if packed:
        with tarfile.open(folder / f"{DEVKIT}.tar.gz", "w:gz") as tar:
            for name, content in devkit_files().items():
                add(tar, name, content)
        return
    for name, content in devkit_files().items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content)


def check(folder: Path) -> None:
    """Every image has its own label."""
    source = open_folder(folder, 32)
    assert source.classes == WNIDS
    assert source.test.labels.tolist() == list(TRUE)
    reds = source.test.read(np.arange(4))[..., 0].mean((1, 2))
    assert np.abs(reds - [100 * label + 50 for label in TRUE]).max() < 3
    assert source.training.labels.tolist() == [0, 0, 1, 1]
    assert np.abs(source.training.read(np.arange(4))[..., 0].mean((1, 2)) - [0, 1, 100, 101]).max() < 3


@pytest.mark.parametrize("packed", [True, False])
def test_flat_validation_folder_with_the_devkit(flat: Path, packed: bool) -> None:
    write_devkit(flat, packed)
    check(flat)


def test_flat_validation_folder_with_kaggles_solution(flat: Path) -> None:
    with (flat / SOLUTION).open("w", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(["ImageId", "PredictionString"])
        rows.writerows([Path(val_name(i)).stem, f"{WNIDS[label]} 1 2 3 4 "] for i, label in enumerate(TRUE))
    check(flat)


def test_tiny_imagenets_annotations(flat: Path) -> None:
    (flat / "val" / "images").mkdir()
    for path in list((flat / "val").glob("*.JPEG")):
        path.rename(flat / "val" / "images" / path.name)
    lines = [f"{val_name(i)}\t{WNIDS[label]}\t0\t0\t62\t62" for i, label in enumerate(TRUE)]
    (flat / "val" / "val_annotations.txt").write_text("\n".join(lines) + "\n")
    check(flat)


def test_archives_are_read_in_place(flat: Path, tmp_path_factory) -> None:
    folder = tmp_path_factory.mktemp("archives")
    with tarfile.open(folder / "ILSVRC2012_img_train.tar", "w") as outer:
        for wnid in WNIDS:
            inner = io.BytesIO()
            with tarfile.open(fileobj=inner, mode="w") as tar:
                for path in sorted((flat / "train" / wnid).iterdir()):
                    add(tar, path.name, path.read_bytes())
            add(outer, f"{wnid}.tar", inner.getvalue())
    with tarfile.open(folder / "ILSVRC2012_img_val.tar", "w") as tar:
        for path in sorted((flat / "val").iterdir(), reverse=True):
            add(tar, path.name, path.read_bytes())
    write_devkit(folder, packed=True)
    check(folder)


def test_missing_validation_labels_are_named(flat: Path) -> None:
    with pytest.raises(DatasetError, match=rf"put {DEVKIT}\.tar\.gz, {SOLUTION}"):
        open_folder(flat, 32)


def test_image_without_a_label_is_named(flat: Path) -> None:
    write_devkit(flat, packed=False)
    (flat / "val" / "stray.JPEG").write_bytes(jpeg(1))
    with pytest.raises(DatasetError, match="nothing says the class of stray"):
        open_folder(flat, 32)


def test_damaged_labels_and_archives_are_named(flat: Path) -> None:
    (flat / f"{DEVKIT}.tar.gz").write_bytes(b"no archive")
    with pytest.raises(DatasetError, match=rf"{DEVKIT}\.tar\.gz is damaged"):
        open_folder(flat, 32)
    (flat / f"{DEVKIT}.tar.gz").unlink()
    write_devkit(flat, packed=True)
    for path in (flat / "val").iterdir():
        path.unlink()
    (flat / "val").rmdir()
    (flat / "ILSVRC2012_img_val.tar").write_bytes(b"no archive" * 100)
    with pytest.raises(DatasetError, match="no intact tar archive"):
        open_folder(flat, 32)


def damaged_devkit(**changed: bytes) -> bytes:
    """The devkit's archive with some of its files replaced."""
    file, names = io.BytesIO(), {"meta": META, "truth": TRUTH}
    with tarfile.open(fileobj=file, mode="w:gz") as tar:
        for name, content in {**devkit_files(), **{names[key]: value for key, value in changed.items()}}.items():
            add(tar, name, content)
    return file.getvalue()


def other_matrix() -> bytes:
    file = io.BytesIO()
    savemat(file, {"other": np.ones(3)})
    return file.getvalue()


BINARY = bytes(range(256))
DAMAGED = {
    "changed byte": (f"{DEVKIT}.tar.gz", damaged_devkit()[:-8] + bytes(4) + damaged_devkit()[-4:], "CRC check failed"),
    "truncated": (f"{DEVKIT}.tar.gz", damaged_devkit()[:-20], "end-of-stream"),
    "no .mat": (f"{DEVKIT}.tar.gz", damaged_devkit(meta=b"no matrix" * 50), "is damaged"),
    "another .mat": (f"{DEVKIT}.tar.gz", damaged_devkit(meta=other_matrix()), "meta.mat holds no synsets"),
    "half a .mat": (f"{DEVKIT}.tar.gz", damaged_devkit(meta=devkit_files()[META][:300]), "is damaged"),
    "unknown class": (f"{DEVKIT}.tar.gz", damaged_devkit(truth=b"1\n2\n77\n"), "holds the class 77, which"),
    "no numbers": (f"{DEVKIT}.tar.gz", damaged_devkit(truth=BINARY), "is damaged"),
    "no columns": (SOLUTION, b"image,label\n1,2\n", "no column ImageId"),
    "empty CSV": (SOLUTION, b"", "no column ImageId"),
    "binary CSV": (SOLUTION, BINARY, "is damaged"),
    "CSV without a class": (SOLUTION, b"ImageId,PredictionString\nILSVRC2012_val_00000001,\n", "no class of ILSVRC"),
    "annotation without a class": ("val/val_annotations.txt", b"a.JPEG n01440764\n", "line 1 names no class"),
    "binary annotations": ("val/val_annotations.txt", BINARY, "is damaged"),
}


@pytest.mark.parametrize("kind", DAMAGED)
def test_damaged_labels_name_their_file(flat: Path, kind: str) -> None:
    name, content, reason = DAMAGED[kind]
    (flat / name).write_bytes(content)
    with pytest.raises(DatasetError, match=reason) as raised:
        open_folder(flat, 32)
    assert str(raised.value).startswith(f"{flat / name} is damaged (")
    assert str(raised.value).endswith("; get it again")
    assert "\n" not in str(raised.value)


def test_archive_of_one_class_is_refused(flat: Path) -> None:
    write_devkit(flat, packed=True)
    inner = io.BytesIO()
    with tarfile.open(fileobj=inner, mode="w") as tar:
        add(tar, "one.JPEG", jpeg(1))
    shutil.rmtree(flat / "train")
    with tarfile.open(flat / "ILSVRC2012_img_train.tar", "w") as outer:
        add(outer, f"{WNIDS[0]}.tar", inner.getvalue())
    with pytest.raises(DatasetError, match=f"one class only, {WNIDS[0]}; a data set needs two or more"):
        open_folder(flat, 32)


def test_archive_with_non_utf8_name_refused(flat: Path) -> None:
    shutil.rmtree(flat / "train")
    with tarfile.open(flat / "ILSVRC2012_img_train.tar", "w") as outer:
        add(outer, "\udce9.tar", b"")
    with pytest.raises(DatasetError, match=r"img_train\.tar: the name \\xe9\.tar is not UTF-8"):
        open_folder(flat, 32)
