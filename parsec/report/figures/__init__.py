"""The figures by name; each is a function of input files and an output path without its ending."""

from collections.abc import Callable
from pathlib import Path

from parsec.report.figures import (
    accuracy,
    cells,
    cost,
    depths,
    entropy,
    executor,
    found,
    naswot_ablation,
    naswot_cost,
    naswot_kernels,
    naswot_scatter,
    operations,
    pi,
    predictor,
    proposal,
    spending,
)
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
        "depths": depths.draw,
        "executor": executor.draw,
        "naswot-ablation": naswot_ablation.draw,
        "naswot-cost": naswot_cost.draw,
        "naswot-kernels": naswot_kernels.draw,
        "naswot-scatter": naswot_scatter.draw,
        "found": found.draw,
        "found-spending": spending.draw_found,
        "predictor": predictor.draw,
        "spending": spending.draw_validated,
        "proposal": proposal.draw,
    }.items()
}
