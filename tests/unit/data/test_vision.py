"""The one import of torchvision: exactly one known failure is repaired; every other one is reported."""

import re
from pathlib import Path
from types import ModuleType, SimpleNamespace

import pytest
import torch

import parsec
from parsec.data import vision

MISSING = RuntimeError("operator torchvision::nms does not exist")


def imports(monkeypatch: pytest.MonkeyPatch, *outcomes: ModuleType | Exception) -> None:
    """Let the next imports of torchvision have these outcomes."""
    left = list(outcomes)

    def import_module(name: str) -> ModuleType:
        outcome = left.pop(0)
        if isinstance(outcome, Exception):
            raise outcome
        return outcome

    monkeypatch.setattr(vision, "importlib", SimpleNamespace(import_module=import_module))


def test_data_sets_and_transforms_are_usable() -> None:
    assert issubclass(vision.torchvision.datasets.ImageFolder, torch.utils.data.Dataset)
    assert vision.torchvision.transforms.Resize(4)(torch.zeros(3, 8, 12)).shape == (3, 4, 6)


def test_missing_schemas_are_declared_before_reimport(monkeypatch: pytest.MonkeyPatch) -> None:
    repaired, declared = ModuleType("torchvision"), []
    modules = {"torchvision": None, "torchvision.ops": None, "torchvision_like": None}
    imports(monkeypatch, MISSING, repaired)
    monkeypatch.setattr(vision, "sys", SimpleNamespace(modules=modules))
    monkeypatch.setattr(vision.torch.library, "define", lambda name, schema: declared.append(name))
    assert vision.load() is repaired
    assert declared == ["torchvision::nms", "torchvision::qnms"]
    assert list(modules) == ["torchvision_like"]


@pytest.mark.parametrize("error", [RuntimeError("operator torchvision::roi_align does not exist"), ImportError("no")])
def test_any_other_failure_is_raised(monkeypatch: pytest.MonkeyPatch, error: Exception) -> None:
    imports(monkeypatch, error, ModuleType("torchvision"))
    with pytest.raises(type(error), match=re.escape(str(error))):
        vision.load()


def test_nothing_else_imports_torchvision() -> None:
    root = Path(parsec.__file__).parent
    pattern = re.compile(r"^\s*(import torchvision|from torchvision)", re.MULTILINE)
    assert [path for path in root.rglob("*.py") if pattern.search(path.read_text(encoding="utf-8"))] == []
