"""The only door to torchvision, whose CUDA build does not import beside a CPU build of PyTorch.

There its compiled operators fail to load, and the import stops because two of them have no schema. With the schemas
declared the Python part (data sets, transforms) works; its compiled operators and image codecs stay unavailable.
"""

import importlib
import sys
from types import ModuleType
from typing import Any

import torch


def load() -> ModuleType:
    """Import torchvision, declaring its operator schemas if exactly they are what is missing."""
    try:
        return importlib.import_module("torchvision")
    except RuntimeError as error:
        if str(error) != "operator torchvision::nms does not exist":
            raise
    # What the failed import left would be taken for the whole package.
    for name in [name for name in sys.modules if name.partition(".")[0] == "torchvision"]:
        del sys.modules[name]
    for operator in ("nms", "qnms"):
        torch.library.define(f"torchvision::{operator}", "(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
    return importlib.import_module("torchvision")


torchvision: Any = load()
