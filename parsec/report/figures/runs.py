"""The figures of single runs, many runs in one process: importing what draws takes as long as a drawing."""

from collections.abc import Iterable
from pathlib import Path

from parsec.records.documents import read_results
from parsec.report.figures import FIGURES

FILES = {"pi": "trajectory.parquet", "cells": "genotype.json"}
"""Figures of a run by name, and what they show of its folder."""


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
            FIGURES[figure]([folder / file], output / f"{figure}-{run['stage']}-{run['method']}-seed{run['seed']}")
