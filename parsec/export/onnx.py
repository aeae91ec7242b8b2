"""Writing a trained network as ONNX, checked against the logits of the network itself."""

import importlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import BaseModel, ValidationError
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn

from parsec.config.base import Positive
from parsec.config.training import Network
from parsec.data.augment import FULL, View, evaluation_view
from parsec.data.dataset import DatasetInfo, open_split, read_info
from parsec.data.loader import open_images
from parsec.errors import UserError
from parsec.network.cell_network import FixedNetwork
from parsec.records.documents import read_results
from parsec.records.provenance import write_json
from parsec.runtime.files import temporary_path
from parsec.runtime.logs import logger
from parsec.runtime.outputs import check_apart, check_run_folder, mark_folder
from parsec.space.darts import from_dict


class Deployed(nn.Module):
    """The network with its normalisation inside: images [B, 3, H, W] of values in [0, 255] to logits [B, classes]."""

    mean: Tensor
    std: Tensor

    def __init__(self, network: FixedNetwork, info: DatasetInfo) -> None:
        super().__init__()
        self.network = network
        for name, values in (("mean", info.mean), ("std", info.std)):
            self.register_buffer(name, torch.tensor(values).view(3, 1, 1), persistent=False)

    def forward(self, images: Tensor) -> Tensor:
        """Logits."""
        logits: Tensor = self.network((images / FULL - self.mean) / self.std)[0]
        return logits


class _Augmentation(BaseModel):
    crop: Literal["none", "pad", "resized"]
    size: Positive | None


class _Stage(BaseModel):
    augmentation: _Augmentation


class _Job(BaseModel):
    settings: _Stage


class _Provenance(BaseModel):
    dataset_hash: str
    settings: _Job


class _Record(BaseModel):
    """Required keys of the `result.json` of a retraining; there are more."""

    genotype: dict[str, Any]
    network: Network
    test: dict[str, Any]
    provenance: _Provenance


@dataclass(frozen=True)
class Trained:
    """A network in evaluation mode, what it was trained on, and what it sees of an image."""

    module: Deployed
    info: DatasetInfo
    result: dict[str, Any]
    view: View


def load_trained(run: Path, data: Path) -> Trained:
    """The network of the retraining whose outputs lie in `run`, trained on the data set in `data`.

    Raises:
        UserError: a file is missing, damaged or does not fit the other one, or the data set is another one.
    """
    path = run / "result.json"
    (result,) = read_results([path])
    record, info = _checked(result, path), read_info(data)
    if record.provenance.dataset_hash != info.content_hash:
        raise UserError(f"{data}: not the images that {run} was trained on (another hash); give its data set")
    # The network sees images of the size that it was trained on, however large they are stored.
    seen = record.provenance.settings.settings.augmentation
    side = seen.size or info.image_size
    if side > info.image_size:
        raise UserError(f"{path}: its images have {side} pixels, those of {data} {info.image_size}; give its data set")
    # The weights tell whether there is an auxiliary head, and must be those of exactly this network.
    weights = _weights(run / "weights.safetensors")
    auxiliary = any(name.startswith("auxiliary.") for name in weights)
    try:
        genotype = from_dict(record.genotype)
        network = FixedNetwork(genotype, record.network, len(info.classes), side, auxiliary)
    except UserError as error:
        raise UserError(f"{path}: {error}") from error
    if unfit := _unfit(weights, network.state_dict()):
        more = f" (and {len(unfit) - 1} more)" if len(unfit) > 1 else ""
        raise UserError(
            f"{run / 'weights.safetensors'}: not of the network in {path.name}: {unfit[0]}{more}; "
            "give a folder whose files are of one retraining"
        )
    network.load_state_dict(weights)
    view = evaluation_view(side, info.image_size, seen.crop == "resized")
    return Trained(Deployed(network, info).eval(), info, result, view)


def _checked(result: dict[str, Any], path: Path) -> _Record:
    if result["kind"] != "retrain":
        raise UserError(f"{path.parent}: holds a {result['kind']}; give the folder of a retraining")
    try:
        return _Record.model_validate_json(json.dumps(result))
    except ValidationError as error:
        first = error.errors()[0]
        key = ".".join(map(str, first["loc"]))
        raise UserError(f"{path}: not a whole result of a retraining, {key}: {first['msg']}") from error


def _weights(path: Path) -> dict[str, Tensor]:
    try:
        return load_file(path)
    except (OSError, SafetensorError) as error:
        raise UserError(f"{path}: missing or damaged ({error}); run the retraining again") from error


def _unfit(weights: dict[str, Tensor], wanted: dict[str, Tensor]) -> list[str]:
    """Differences between weights and those that a network wants, one line per tensor."""
    shapes = [{name: f"{list(t.shape)} {t.dtype}" for name, t in tensors.items()} for tensors in (weights, wanted)]
    lines = []
    for name in dict.fromkeys((*wanted, *weights)):
        ours, theirs = (tensors.get(name) for tensors in shapes)
        if ours is None:
            lines.append(f"{name} is missing")
        elif theirs is None:
            lines.append(f"{name} is one too many")
        elif ours != theirs:
            lines.append(f"{name} is {ours} in place of {theirs}".replace("torch.", ""))
    return lines


CHECKED = 32
"""Images that the two networks are compared on."""
TOLERANCE = 1e-3
"""Largest difference of a logit, as a share of the largest logit: single precision, summed in another order."""
OPSET = 18
NEEDED = {"onnx": "ModelProto", "onnxscript": "script", "onnxruntime": "InferenceSession"}
"""Packages that exporting takes, each with a name that it lacks if only a part of it is installed."""


def export(run: Path, data: Path, output: Path) -> None:
    """Write `network.onnx`, `example.npz` (images, uint8 [N, 3, H, W], and their logits) and `network.json`.

    Raises:
        UserError: a package is missing, a file could not be written, or the exported network gives other logits.
    """
    _check_packages()
    check_apart({"--output": output}, {"the folder of the retraining": run, "--data": data})
    check_run_folder(output, "export", f"export of {run}", ["network.onnx", "network.json", "example.npz"])
    trained = load_trained(run, data)
    images = _examples(trained, data)
    with torch.no_grad():
        logits = trained.module(images).numpy()
    with temporary_path(output / "network.onnx") as temporary:
        _write(trained, images, temporary)
        difference = _difference(temporary, images, logits)
        # Not `>`, which NaN would pass.
        if not difference <= TOLERANCE:
            raise UserError(
                f"{run}: the exported network's logits differ by {difference:.2g} of the largest; report it"
            )
        mark_folder(output, "export", run=f"export of {run}")
    with temporary_path(output / "example.npz") as temporary, temporary.open("wb") as file:
        np.savez(file, images=images.byte().numpy(), logits=logits)
    write_json(output / "network.json", _about(trained, difference))
    logger.info("%s: logits agree to %.1e of the largest", output / "network.onnx", difference)


def _examples(trained: Trained, data: Path) -> Tensor:
    """Images as the network sees them, before normalisation: float32 [N, 3, H, W] in [0, 255].

    They are of the validation split; the test split is read only by retraining.
    """
    images = open_images(open_split(data, "validation", CHECKED), "cpu", 0)
    return images.pixels(torch.arange(len(images)), trained.view).float()


def _check_packages() -> None:
    """Import what exporting takes; the exporter itself fails late and unclearly without it."""
    for package, name in NEEDED.items():
        try:
            getattr(importlib.import_module(package), name)
        except Exception as error:  # what a damaged package raises can be anything
            reason = " ".join(str(error).split())
            raise UserError(
                f"export needs the package {package}, which is missing or damaged ({type(error).__name__}: {reason}): "
                f"pip uninstall -y {package}; pip install -e '.[export]'"
            ) from error


def _write(trained: Trained, images: Tensor, path: Path) -> None:
    program = torch.onnx.export(
        trained.module,
        (images[:2],),
        dynamo=True,
        dynamic_shapes={"images": {0: "batch"}},
        input_names=["images"],
        output_names=["logits"],
        opset_version=OPSET,
        verbose=False,
    )
    assert program is not None
    program.save(str(path), external_data=False)


def _difference(path: Path, images: Tensor, logits: NDArray[np.float32]) -> float:
    """Largest difference of the exported network's logits, as a share of the largest logit."""
    import onnxruntime  # not there without the extra `export`

    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    (outputs,) = session.run(None, {"images": images.numpy()})
    return float(np.abs(outputs - logits).max() / np.abs(logits).max())


def _about(trained: Trained, difference: float) -> dict[str, object]:
    """Description of the network's inputs and outputs, for its users."""
    short_side, side = trained.view
    return {
        "input": f"images, float32 [batch, 3, {side}, {side}], RGB, values in [0, 255]",
        "preprocessing": (
            f"short side resized to {short_side} pixels, long side in proportion; centre of {side} × {side} cut out; "
            "values as they are, since the network itself normalises them: (value / 255 − mean) / std"
        ),
        "short_side": short_side,
        "side": side,
        "interpolation": "bilinear",
        "antialias": True,
        "mean": list(trained.info.mean),
        "std": list(trained.info.std),
        "classes": list(trained.info.classes),
        "genotype": trained.result["genotype"],
        "network": trained.result["network"],
        "test": trained.result["test"],
        "logit_difference": difference,
        "trained": trained.result["provenance"],
    }
