"""A trained network with all that is needed to feed it images: loaded from a retraining's folder and its data set."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import torch
from pydantic import BaseModel, ValidationError
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn

from parsec.config.base import Positive
from parsec.config.training import Network
from parsec.data.augment import FULL, View, evaluation_view
from parsec.data.dataset import DatasetInfo, read_info
from parsec.errors import UserError
from parsec.network.cell_network import FixedNetwork
from parsec.records.documents import read_results
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
    """What must stand in the `result.json` of a retraining; there is more."""

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
    seen = record.provenance.settings.settings.augmentation
    side = seen.size or info.image_size
    if side > info.image_size:
        raise UserError(f"{path}: its images have {side} pixels, those of {data} {info.image_size}; give its data set")
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


def _unfit(found: dict[str, Tensor], wanted: dict[str, Tensor]) -> list[str]:
    """What keeps weights from being those of a network, a tensor a line."""
    shapes = [{name: f"{list(t.shape)} {t.dtype}" for name, t in given.items()} for given in (found, wanted)]
    lines = []
    for name in dict.fromkeys((*wanted, *found)):
        ours, theirs = (given.get(name) for given in shapes)
        if ours is None:
            lines.append(f"{name} is missing")
        elif theirs is None:
            lines.append(f"{name} is one too many")
        elif ours != theirs:
            lines.append(f"{name} is {ours} in place of {theirs}".replace("torch.", ""))
    return lines
