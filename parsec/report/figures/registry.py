"""The figures by name. A module is imported when its figure is drawn, so that its code fingerprint covers no other."""

from collections.abc import Callable, Iterable
from importlib import import_module
from pathlib import Path

from parsec.records.documents import read_results

FIGURES = {
    "entropy": "entropy.draw",
    "pi": "pi.draw",
    "accuracy": "accuracy.draw",
    "operations": "operations.draw",
    "cells": "cells.draw",
    "cost": "cost.draw",
    "depths": "depths.draw",
    "executor": "executor.draw",
    "naswot-ablation": "naswot_ablation.draw",
    "naswot-cost": "naswot_cost.draw",
    "naswot-kernels": "naswot_kernels.draw",
    "naswot-scatter": "naswot_scatter.draw",
    "found": "found.draw",
    "found-spending": "spending.draw_found",
    "predictor": "predictor.draw",
    "spending": "spending.draw_validated",
    "proposal": "proposal.draw",
}
"""Name of each figure → module and function in this package; the function maps input files to a `Drawing`."""
FILES = {"pi": "trajectory.parquet", "cells": "genotype.json"}
"""Figures of a run by name, and what they show of its folder."""


def figure_module(name: str) -> str:
    """Full name of the module that draws figure `name`."""
    return f"parsec.report.figures.{FIGURES[name].split('.')[0]}"


def figure_writer(name: str) -> Callable[[list[Path], Path], None]:
    """The function that draws figure `name` from input files and writes `<output>.svg`, `.pdf` and `.csv`."""
    from parsec.report.figures.style import as_files  # planning reads the names only, without matplotlib

    return as_files(getattr(import_module(figure_module(name)), FIGURES[name].split(".")[1]))


def draw_runs(folders: Iterable[Path], output: Path) -> None:
    """Draw π over time and the cells of every search as `<output>/<figure>-<stage>-<method>-seed<k>`.

    Args:
        folders: folders of searches.
        output: folder for the figures.

    Raises:
        UserError: a file of a run is missing or damaged.
    """
    for folder in folders:
        run = read_results([folder / "result.json"])[0]
        for figure, file in FILES.items():
            figure_writer(figure)(
                [folder / file], output / f"{figure}-{run['stage']}-{run['method']}-seed{run['seed']}"
            )
