"""From a finished retraining to ONNX and to predictions."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import ExifTags, Image

from parsec.cli import main
from parsec.data.dataset import open_part
from parsec.data.prepare import prepare
from parsec.errors import UserError
from parsec.export import onnx
from parsec.export.onnx import export
from parsec.export.predict import predict
from parsec.export.trained import load_trained
from parsec.retrain.run import Request, retrain
from parsec.settings.compute import Compute
from parsec.settings.datasets import Digits
from parsec.settings.jobs import PrepareJob, RetrainJob
from parsec.settings.plan import Retrain
from parsec.settings.retrain import RetrainAugmentation, RetrainStage
from parsec.settings.training import Stack
from parsec.settings.tree import Running


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
    retrain(Request(job, names, folder / "data", "DARTS_V2", folder / "run", folder / "state", Running()))
    return folder / "run", folder / "data"


def test_loaded_network_has_the_test_error_of_its_result(trained) -> None:
    run, data = trained
    found, part = load_trained(run, data), open_part(data, "test")
    images = torch.from_numpy(part.read(np.arange(len(part)))).permute(0, 3, 1, 2).float()
    with torch.no_grad():
        wrong = (found.module(images).argmax(1).numpy() != part.labels).mean()
    assert 100 * wrong == pytest.approx(found.result["test"]["top1_error"])


def test_onnx_gives_the_saved_logits_for_any_batch(trained, tmp_path) -> None:
    onnxruntime = pytest.importorskip("onnxruntime")
    export(*trained, tmp_path)
    example, about = np.load(tmp_path / "example.npz"), json.loads((tmp_path / "network.json").read_text())
    session = onnxruntime.InferenceSession(str(tmp_path / "network.onnx"), providers=["CPUExecutionProvider"])
    for count in (1, 7, 32):
        (logits,) = session.run(None, {"images": example["images"][:count].astype(np.float32)})
        assert np.allclose(logits, example["logits"][:count], atol=1e-4)
    assert about["classes"] == list("0123456789")
    assert about["logit_difference"] < 1e-3


def test_other_logits_are_refused_and_nothing_is_left(trained, tmp_path, monkeypatch) -> None:
    pytest.importorskip("onnxruntime")
    monkeypatch.setattr(onnx, "_difference", lambda *_: 0.5)
    with pytest.raises(UserError, match=r"differ by 0\.5"):
        export(*trained, tmp_path / "out")
    assert not list((tmp_path / "out").iterdir())


def test_predictions_of_a_folder_are_those_of_the_network(trained, tmp_path) -> None:
    run, data = trained
    part = open_part(data, "test")
    for i, pixels in enumerate(part.read(np.arange(40))):
        Image.fromarray(pixels).save(tmp_path / f"{i:02d}.png")
    (tmp_path / "broken.png").write_bytes(b"no image")
    predict(run, data, tmp_path, tmp_path / "out.csv")
    rows = pd.read_csv(tmp_path / "out.csv", dtype={"class": str})
    assert rows["image"].tolist() == [*(f"{i:02d}.png" for i in range(40)), "broken.png"]
    found = load_trained(run, data)
    with torch.no_grad():
        images = torch.from_numpy(part.read(np.arange(40))).permute(0, 3, 1, 2).float()
        expected = found.module(images).softmax(1).max(1)
    assert rows["class"][:40].tolist() == [str(i) for i in expected.indices.tolist()]
    assert np.allclose(rows["probability"][:40], expected.values, atol=1e-6)
    assert rows["error"].isna().tolist() == [True] * 40 + [False]


def test_images_are_predicted_as_they_would_be_prepared(trained, tmp_path) -> None:
    run, data = trained
    grey = open_part(data, "test").read(np.arange(8))[..., 0]
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = 3
    for i, pixels in enumerate(grey):
        Image.fromarray(pixels).save(tmp_path / f"{i}-8-bit.png")
        Image.fromarray(pixels.astype(np.uint16) * 257).save(tmp_path / f"{i}-16-bit.png")
        Image.fromarray(pixels[::-1, ::-1].copy()).save(tmp_path / f"{i}-turned.png", exif=exif)
    predict(run, data, tmp_path, tmp_path / "out.csv")
    probability = pd.read_csv(tmp_path / "out.csv")["probability"].to_numpy().reshape(8, 3)
    assert np.allclose(probability, probability[:, :1], atol=1e-6)


def test_other_images_and_missing_ones_are_one_line(trained, tmp_path, capsys) -> None:
    run, data = trained
    prepare(PrepareJob(name="digits", dataset=Digits(source="digits", split_seed=5)), tmp_path / "other")
    (tmp_path / "empty").mkdir()
    asked = ["predict", str(run), "--output", str(tmp_path / "out.csv"), "--images", str(tmp_path / "empty"), "--data"]
    assert main([*asked, str(tmp_path / "other")]) != 0
    assert "give its data set" in capsys.readouterr().err
    assert main([*asked, str(data)]) != 0
    assert "holds no image" in capsys.readouterr().err
