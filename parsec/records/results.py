"""Result files: JSON documents that tables and figures are made from."""

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from parsec.errors import UserError
from parsec.runtime.files import write_atomic

if TYPE_CHECKING:
    import torch

    from parsec.runtime.trainer import Spent

SCHEMA = 1
KINDS = ("search", "retrain", "fit")


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


def read_results(paths: Iterable[Path]) -> list[dict[str, Any]]:
    """The results in these files, in this order.

    Raises:
        UserError: a file is missing, damaged or no result.
    """
    return [_read(Path(path)) for path in paths]


def _read(path: Path) -> dict[str, Any]:
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise UserError(f"{path}: cannot be read ({error.strerror}); run the workflow again to make it") from error
    except ValueError as error:
        raise UserError(f"{path}: damaged, not JSON ({error}); delete it and run the workflow again") from error
    if not isinstance(document, dict) or document.get("kind") not in KINDS or document.get("schema") != SCHEMA:
        raise UserError(
            f"{path}: not a result of kind {' or '.join(KINDS)} and schema {SCHEMA}; delete it and run again"
        )
    return document
