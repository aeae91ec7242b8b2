"""Writing a trained network as ONNX, checked against the logits of the network itself."""

import importlib
import logging
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from parsec.data.dataset import open_split
from parsec.data.loader import open_images
from parsec.errors import UserError
from parsec.export.trained import Trained, load_trained
from parsec.records.provenance import write_json
from parsec.runtime.files import temporary_path
from parsec.runtime.outputs import check_apart, check_run_folder, mark_folder

CHECKED = 32
"""Images that the two networks are compared on."""
TOLERANCE = 1e-3
"""Largest difference of a logit, as a share of the largest logit: single precision, summed in another order."""
OPSET = 18
NEEDED = {"onnx": "ModelProto", "onnxscript": "script", "onnxruntime": "InferenceSession"}
"""Packages that exporting takes, each with a name that it lacks if only a part of it is installed."""

logger = logging.getLogger("parsec")


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
        if difference > TOLERANCE:
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

    They are of the validation half: the test part is for retraining alone.
    """
    part = open_split(data, "validation", CHECKED)
    images = open_images(part, "cpu", 0)
    return images.pixels(torch.arange(len(part)), trained.view).float()


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
    (found,) = session.run(None, {"images": images.numpy()})
    return float(np.abs(found - logits).max() / np.abs(logits).max())


def _about(trained: Trained, difference: float) -> dict[str, object]:
    """What one must know to use the network."""
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
