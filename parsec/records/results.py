"""Result files: JSON documents that tables and figures are made from."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from parsec.runtime.files import write_atomic

if TYPE_CHECKING:
    import torch

    from parsec.runtime.trainer import Spent


def cost(spent: "Spent", device: "torch.device") -> dict[str, Any]:
    """The `cost` of a result file: seconds and memory over all attempts, and the device they were spent on."""
    from parsec.runtime.device import device_name  # tables are made from results without torch

    return {**spent._asdict(), "device": device_name(device), "accelerator": device.type != "cpu"}


def write_json(path: Path, document: Mapping[str, Any]) -> None:
    """Write a document with sorted keys, indented, whole or not at all.

    Raises:
        ValueError: a number is not finite.
        UserError: no space is left.
    """
    text = json.dumps(document, indent=2, sort_keys=True, ensure_ascii=False, allow_nan=False)
    write_atomic(path, text + "\n")
