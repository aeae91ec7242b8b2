"""The figures by name; each is a function of input files and an output path without its ending."""

from collections.abc import Callable
from pathlib import Path

from parsec.report.figures import accuracy, cells, cost, entropy, executor, operations, pi, predictor
from parsec.report.figures.style import as_files

FIGURES: dict[str, Callable[[list[Path], Path], None]] = {
    name: as_files(draw)
    for name, draw in {
        "entropy": entropy.draw,
        "pi": pi.draw,
        "accuracy": accuracy.draw,
        "operations": operations.draw,
        "cells": cells.draw,
        "cost": cost.draw,
        "executor": executor.draw,
        "predictor": predictor.draw,
    }.items()
}
