"""A trained network with all that is needed to feed it images: loaded from a retraining's folder and its data set."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn

from parsec.data.augment import FULL
from parsec.data.dataset import DatasetInfo, read_info
from parsec.data.packed.boxes import SHARE
from parsec.errors import UserError
from parsec.network.fixed import FixedNetwork
from parsec.records.results import read_results
from parsec.settings.training import Network
from parsec.space.genotype import from_dict


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


@dataclass(frozen=True)
class Trained:
    """A network in evaluation mode, what it was trained on, and the side of the images that it takes, pixels."""

    module: Deployed
    info: DatasetInfo
    result: dict[str, Any]
    image_size: int

    @property
    def whole_side(self) -> int:
        """Short side that an image of any size is brought to before its centre is cut out, pixels."""
        return round(self.image_size / SHARE) if self.image_size < self.info.image_size else self.image_size


def load_trained(run: Path, data: Path) -> Trained:
    """The network of the retraining whose outputs lie in `run`, trained on the data set in `data`.

    Raises:
        UserError: a file is missing or damaged, or the data set is another one.
    """
    (result,) = read_results([run / "result.json"])
    info = read_info(data)
    if result["kind"] != "retrain":
        raise UserError(f"{run}: holds a {result['kind']}; give the folder of a retraining")
    if result["provenance"]["dataset_hash"] != info.content_hash:
        raise UserError(f"{data}: not the images that {run} was trained on (another hash); give its data set")
    size = result["provenance"]["settings"]["settings"]["augmentation"]["size"] or info.image_size
    shape = Network.model_validate_json(json.dumps(result["network"]))
    weights = _weights(run / "weights.safetensors")
    auxiliary = any(name.startswith("auxiliary.") for name in weights)
    network = FixedNetwork(from_dict(result["genotype"]), shape, len(info.classes), size, auxiliary)
    network.load_state_dict(weights)
    return Trained(Deployed(network, info).eval(), info, result, size)


def _weights(path: Path) -> dict[str, Tensor]:
    try:
        return load_file(path)
    except (OSError, SafetensorError) as error:
        raise UserError(f"{path}: missing or damaged ({error}); run the retraining again") from error
