"""The figures by name. A module is imported when its figure is drawn, so that its code fingerprint covers no other."""

from collections.abc import Callable, Iterable
from importlib import import_module
from pathlib import Path

from parsec.records.documents import read_results

FIGURES = {
    "entropy": "curves.plot_entropy",
    "pi": "probabilities.plot_pi",
    "accuracy": "curves.plot_accuracy",
    "operations": "operations.plot_operations",
    "cells": "cells.plot_cells",
    "cost": "cost.plot_cost",
    "depths": "memory.plot_depths",
    "executor": "memory.plot_executor",
    "naswot-ablation": "naswot.plot_ablation",
    "naswot-cost": "naswot.plot_simulated_searches",
    "naswot-kernels": "naswot.plot_kernels",
    "naswot-scatter": "naswot.plot_scores",
    "found": "found.plot_found",
    "found-spending": "spending.plot_found_spending",
    "predictor": "predictor.plot_predictor",
    "spending": "spending.plot_spending",
    "proposal": "predictor.plot_proposal",
    "ranking": "ranking.plot_ranking",
}
"""Name of each figure → module and function in this package; the function maps input files to a `Drawing`."""
FILES = {"pi": "trajectory.parquet", "cells": "genotype.json"}
"""Figures of a run by name, and what they show of its folder."""


def figure_code(name: str) -> str:
    """The function that draws figure `name`, as `code_fingerprint` takes it: `module:function`."""
    return f"parsec.report.figures.{FIGURES[name].replace('.', ':')}"


def figure_writer(name: str) -> Callable[[list[Path], Path], None]:
    """The function that draws figure `name` from input files and writes `<output>.svg`, `.pdf` and `.csv`."""
    from parsec.report.figures.style import as_files  # planning reads the names only, without matplotlib

    module, function = figure_code(name).split(":")
    return as_files(getattr(import_module(module), function))


def plot_runs(folders: Iterable[Path], output: Path) -> None:
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
