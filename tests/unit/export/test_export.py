"""From a finished retraining to ONNX and to predictions."""

import json
import math
import os
import shutil
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import ExifTags, Image
from safetensors.torch import load_file, save_file

from parsec.cli import main
from parsec.config.base import Compute, Retrain, Running
from parsec.config.datasets import Digits, ImageFolder, Jpeg, PrepareJob
from parsec.config.retrain import RetrainAugmentation, RetrainJob, RetrainStage
from parsec.config.training import Stack
from parsec.data.dataset import open_split
from parsec.data.prepare import prepare
from parsec.data.vision import torchvision
from parsec.errors import UserError
from parsec.export import onnx
from parsec.export.onnx import export, load_trained
from parsec.export.predict import predict
from parsec.retrain.run import retrain


@pytest.fixture(scope="module")
def trained(tmp_path_factory) -> tuple[Path, Path]:
    """Folders of a tiny retraining and of its data set."""
    folder = tmp_path_factory.mktemp("trained")
    prepare(PrepareJob(name="digits", dataset=Digits(source="digits")), folder / "data")
    stage = RetrainStage(
        origins=(),
        runs=(0,),
        network=Stack(cells=3, channels=4),
        epochs=4,
        augmentation=RetrainAugmentation(padding=1, flip=False, cutout=0),
    )
    compute = Compute(device="cpu", precision="float32")
    job = RetrainJob(dataset="digits", space="darts", settings=stage, compute=compute)
    names = Retrain("digits", "published", "DARTS_V2", 0, 0)
    retrain(job, names, folder / "data", "DARTS_V2", folder / "run", folder / "state", Running())
    return folder / "run", folder / "data"


def test_loaded_network_reproduces_test_error(trained) -> None:
    run, data = trained
    loaded, split = load_trained(run, data), open_split(data, "test")
    images = torch.from_numpy(split.read(np.arange(len(split)))).permute(0, 3, 1, 2).float()
    with torch.no_grad():
        wrong = (loaded.module(images).argmax(1).numpy() != split.labels).mean()
    assert 100 * wrong == pytest.approx(loaded.result["test"]["top1_error"])


def test_onnx_reproduces_logits_at_any_batch(trained, tmp_path) -> None:
    onnxruntime = pytest.importorskip("onnxruntime")
    export(*trained, tmp_path)
    example, about = np.load(tmp_path / "example.npz"), json.loads((tmp_path / "network.json").read_text())
    session = onnxruntime.InferenceSession(str(tmp_path / "network.onnx"), providers=["CPUExecutionProvider"])
    for count in (1, 7, 32):
        (logits,) = session.run(None, {"images": example["images"][:count].astype(np.float32)})
        assert np.allclose(logits, example["logits"][:count], atol=1e-4)
    assert about["classes"] == list("0123456789")
    assert about["logit_difference"] < 1e-3


def test_examples_are_validation_images(trained) -> None:
    run, data = trained
    split = open_split(data, "validation", onnx.CHECKED)
    images = torch.from_numpy(split.read(np.arange(len(split)))).permute(0, 3, 1, 2).float()
    assert torch.equal(onnx._examples(load_trained(run, data), data), images)


@pytest.mark.parametrize("difference", [0.5, math.nan])
def test_differing_onnx_logits_leave_no_output(trained, tmp_path, monkeypatch, difference) -> None:
    pytest.importorskip("onnxruntime")
    monkeypatch.setattr(onnx, "_difference", lambda *_: difference)
    with pytest.raises(UserError, match=f"differ by {difference}"):
        export(*trained, tmp_path / "out")
    assert not list((tmp_path / "out").iterdir())


def test_folder_predictions_match_the_network(trained, tmp_path) -> None:
    run, data = trained
    split = open_split(data, "test")
    for i, pixels in enumerate(split.read(np.arange(40))):
        Image.fromarray(pixels).save(tmp_path / f"{i:02d}.png")
    (tmp_path / "broken.png").write_bytes(b"no image")
    predict(run, data, tmp_path, tmp_path / "out.csv")
    rows = pd.read_csv(tmp_path / "out.csv", dtype={"class": str})
    assert rows["image"].tolist() == [*(f"{i:02d}.png" for i in range(40)), "broken.png"]
    loaded = load_trained(run, data)
    with torch.no_grad():
        images = torch.from_numpy(split.read(np.arange(40))).permute(0, 3, 1, 2).float()
        expected = loaded.module(images).softmax(1).max(1)
    assert rows["class"][:40].tolist() == [str(i) for i in expected.indices.tolist()]
    assert np.allclose(rows["probability"][:40], expected.values, atol=1e-6)
    assert rows["error"].isna().tolist() == [True] * 40 + [False]


def test_prediction_preprocesses_like_preparation(trained, tmp_path) -> None:
    run, data = trained
    grey = open_split(data, "test").read(np.arange(8))[..., 0]
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = 3
    for i, pixels in enumerate(grey):
        Image.fromarray(pixels).save(tmp_path / f"{i}-8-bit.png")
        Image.fromarray(pixels.astype(np.uint16) * 257).save(tmp_path / f"{i}-16-bit.png")
        Image.fromarray(pixels[::-1, ::-1].copy()).save(tmp_path / f"{i}-turned.png", exif=exif)
    predict(run, data, tmp_path, tmp_path / "out.csv")
    probability = pd.read_csv(tmp_path / "out.csv")["probability"].to_numpy().reshape(8, 3)
    assert np.allclose(probability, probability[:, :1], atol=1e-6)


def test_wrong_or_missing_images_are_refused(trained, tmp_path, capsys) -> None:
    run, data = trained
    prepare(PrepareJob(name="digits", dataset=Digits(source="digits", split_seed=5)), tmp_path / "other")
    (tmp_path / "empty").mkdir()
    asked = ["predict", str(run), "--output", str(tmp_path / "out.csv"), "--images", str(tmp_path / "empty"), "--data"]
    assert main([*asked, str(tmp_path / "other")]) != 0
    assert "give its data set" in capsys.readouterr().err
    assert main([*asked, str(data)]) != 0
    assert "holds no image" in capsys.readouterr().err


@pytest.fixture(scope="module")
def photographs(tmp_path_factory) -> tuple[Path, Path, Path]:
    """Folders of a retraining on 32 pixels of images stored as JPEGs of 64, of its data set, and of the test images."""
    top, rng = tmp_path_factory.mktemp("photographs"), np.random.default_rng(0)
    for split, count in (("train", 16), ("val", 12)):
        for name in ("dark", "light"):
            (top / "folder" / split / name).mkdir(parents=True)
            for i in range(count):
                low = 0 if name == "dark" else 90
                small = Image.fromarray(rng.integers(low, low + 160, (5, 7, 3), dtype=np.uint8))
                small.resize((98, 70), Image.Resampling.BICUBIC).save(top / "folder" / split / name / f"{i:02d}.png")
    folder = ImageFolder(source="image_folder", folder=str(top / "folder"), image_size=64, jpeg=Jpeg(quality=95))
    prepare(PrepareJob(name="photographs", dataset=folder), top / "data")
    stage = RetrainStage(
        origins=(),
        runs=(0,),
        network=Stack(cells=3, channels=4),
        epochs=2,
        batch_size=8,
        augmentation=RetrainAugmentation(crop="resized", size=32),
    )
    compute = Compute(device="cpu", precision="float32")
    job = RetrainJob(dataset="photographs", space="darts", settings=stage, compute=compute)
    names = Retrain("photographs", "published", "DARTS_V2", 0, 0)
    retrain(job, names, top / "data", "DARTS_V2", top / "run", top / "state", Running())
    return top / "run", top / "data", top / "folder" / "val"


def test_predictions_match_test_error_and_onnx(photographs, tmp_path) -> None:
    run, data, folder = photographs
    predict(run, data, folder, tmp_path / "out.csv")
    rows = pd.read_csv(tmp_path / "out.csv")
    wrong = 100 * (rows["class"] != rows["image"].str.split("/").str[0]).mean()
    assert wrong == pytest.approx(json.loads((run / "result.json").read_text())["test"]["top1_error"])
    onnxruntime = pytest.importorskip("onnxruntime")
    export(run, data, tmp_path / "out")
    about = json.loads((tmp_path / "out" / "network.json").read_text())
    assert (about["short_side"], about["side"], about["interpolation"], about["antialias"]) == (
        36,
        32,
        "bilinear",
        True,
    )
    transforms = torchvision.transforms
    square = transforms.Compose([transforms.Resize(about["short_side"]), transforms.CenterCrop(about["side"])])
    given = np.stack([np.asarray(square(Image.open(folder / name))) for name in rows["image"]])
    session = onnxruntime.InferenceSession(str(tmp_path / "out" / "network.onnx"), providers=["CPUExecutionProvider"])
    (logits,) = session.run(None, {"images": given.transpose(0, 3, 1, 2).astype(np.float32)})
    assert [about["classes"][i] for i in logits.argmax(1)] == rows["class"].tolist()
    probability = torch.from_numpy(logits).softmax(1).amax(1).numpy()
    assert np.allclose(probability, rows["probability"], atol=0.02)


def image(path: Path | bytes) -> None:
    """Write a small image, whatever its name."""
    with open(path, "wb") as file:  # noqa: PTH123 (names in bytes)
        Image.new("RGB", (9, 8), (200, 100, 50)).save(file, "PNG")


def test_every_file_gets_one_row(trained, tmp_path, caplog) -> None:
    run, data = trained
    folder = tmp_path / "images"
    (folder / "b").mkdir(parents=True)
    for name in ("=1+1.png", "-x.png", "tab\tin it.png", "plain.png", "b/=.png"):
        image(folder / name)
    image(os.fsencode(folder) + b"/b\xe9.png")
    (folder / "empty.png").touch()
    (folder / "text.jpg").write_text("no image")
    os.mkfifo(folder / "pipe.jpg")
    (folder / "gone.png").symlink_to(folder / "nowhere.png")
    with caplog.at_level("INFO", logger="parsec"):
        predict(run, data, folder, tmp_path / "out.csv")
    rows = pd.read_csv(tmp_path / "out.csv").set_index("image")
    predicted = {"'=1+1.png", "'-x.png", r"tab\tin it.png", "plain.png", "b/=.png", r"b\xe9.png"}
    assert set(rows.index) == predicted | {"empty.png", "text.jpg", "pipe.jpg", "gone.png"}
    assert set(rows.index[rows["error"].isna()]) == predicted
    assert "pipe.jpg is no regular file" in rows["error"]["pipe.jpg"]
    assert "No such file or directory" in rows["error"]["gone.png"]
    assert "the file is empty" in rows["error"]["empty.png"]
    assert "no image of a kind that Pillow reads" in rows["error"]["text.jpg"]
    assert "10 images, 4 not decoded" in caplog.text


def test_hidden_files_and_loops_are_skipped(trained, tmp_path, caplog) -> None:
    run, data = trained
    folder, elsewhere = tmp_path / "images", tmp_path / "elsewhere"
    for place in (folder / "a", folder / ".thumbnails", elsewhere):
        place.mkdir(parents=True)
        image(place / "1.png")
    image(folder / "._1.png")
    for name, target in (("a/loop", folder), ("a/up", tmp_path), ("twice", folder / "a"), ("linked", elsewhere)):
        (folder / name).symlink_to(target)
    (elsewhere / "back").symlink_to(elsewhere)
    with caplog.at_level("INFO", logger="parsec"):
        predict(run, data, folder, tmp_path / "out.csv")
    assert pd.read_csv(tmp_path / "out.csv")["image"].tolist() == ["a/1.png", "linked/1.png"]
    assert "2 hidden files and folders are left out" in caplog.text


def test_unwritable_output_is_refused_early(trained, tmp_path, capsys, monkeypatch) -> None:
    run, data = trained
    monkeypatch.setattr("parsec.export.predict.load_trained", lambda *_: pytest.fail("work has begun"))
    monkeypatch.setattr("parsec.export.onnx.load_trained", lambda *_: pytest.fail("work has begun"))
    (tmp_path / "file").touch()
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "mine.onnx").touch()
    given = ["predict", str(run), "--data", str(data), "--images", str(tmp_path), "--output"]
    for output, reason in ((tmp_path, "is a folder"), (tmp_path / "file" / "x.csv", "cannot be written")):
        assert main([*given, str(output)]) == 2
        assert reason in capsys.readouterr().err
    for output, reason in ((tmp_path / "out", "not a folder that parsec made"), (tmp_path / "file", "is a file")):
        assert main(["export", str(run), "--data", str(data), "--output", str(output)]) == 2
        assert reason in capsys.readouterr().err


@pytest.fixture
def run_copy(trained, tmp_path) -> Path:
    return Path(shutil.copytree(trained[0], tmp_path / "copy"))


def other_weights(weights: dict[str, torch.Tensor], change: str) -> dict[str, torch.Tensor]:
    name = next(iter(weights))
    match change:
        case "missing":
            return {key: value for key, value in weights.items() if key != name}
        case "extra":
            return weights | {"more": torch.zeros(2)}
        case "shape":
            return weights | {name: torch.zeros(2, 3)}
        case _:
            return {f"module.{key}": value for key, value in weights.items()}


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ("missing", "is missing"),
        ("extra", "more is one too many"),
        ("shape", r"is \[2, 3\] float32 in place of \["),
        ("names", r"is missing \(and \d+ more\)"),
    ],
)
def test_weights_of_another_network_are_refused(trained, run_copy, change, reason) -> None:
    path = run_copy / "weights.safetensors"
    save_file(other_weights(load_file(path), change), path)
    with pytest.raises(
        UserError, match=rf"weights\.safetensors: not of the network in result\.json: .*{reason}"
    ) as error:
        load_trained(run_copy, trained[1])
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("path", "value", "reason"),
    [
        ("network", None, "network: Field required"),
        ("network.cells", "many", "network.cells: "),
        ("network.channels", 6, "not of the network in result.json"),
        ("provenance.dataset_hash", None, "provenance.dataset_hash: Field required"),
        ("provenance.settings.settings.augmentation.crop", "round", "augmentation.crop: "),
        ("provenance.settings.settings.augmentation.size", 100, "100 pixels"),
        ("genotype.normal", [], "normal: expected a list"),
        ("test", None, "test: Field required"),
    ],
)
def test_malformed_result_fails_in_one_line(trained, run_copy, path, value, reason) -> None:
    file = run_copy / "result.json"
    document = json.loads(file.read_text())
    *parents, key = path.split(".")
    inner = document
    for parent in parents:
        inner = inner[parent]
    inner.pop(key)
    if value is not None:
        inner[key] = value
    file.write_text(json.dumps(document))
    with pytest.raises(UserError) as error:
        load_trained(run_copy, trained[1])
    assert str(run_copy) in str(error.value)
    assert reason in str(error.value)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("package", ["onnx", "onnxscript", "onnxruntime"])
@pytest.mark.parametrize("content", ["", "import something_that_is_not_there", "raise RuntimeError('half')"])
def test_broken_package_fails_in_one_line(trained, tmp_path, monkeypatch, capsys, package, content) -> None:
    pytest.importorskip("onnxruntime")
    (tmp_path / package).mkdir()
    (tmp_path / package / "__init__.py").write_text(content)
    monkeypatch.syspath_prepend(str(tmp_path))
    for name in {package, *(name for name in sys.modules if name.partition(".")[0] == package)}:
        # Also where the package was not loaded yet, so that the damaged one is gone after the test.
        monkeypatch.setitem(sys.modules, name, None)
        del sys.modules[name]
    run, data = trained
    assert main(["export", str(run), "--data", str(data), "--output", str(tmp_path / "out")]) == 2
    message = capsys.readouterr().err
    assert f"needs the package {package}, which is missing or damaged" in message
    assert "Traceback" not in message
