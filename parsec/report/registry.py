"""Tables and figures by name. A module is imported when it is used, so that its code fingerprint covers no other."""

from collections.abc import Callable, Iterable
from importlib import import_module
from pathlib import Path

from parsec.records.documents import read_results

TABLES = {
    "accuracy": "accuracy.make_accuracy_table",
    "naswot-correlation": "naswot.make_correlation_table",
    "naswot-correlation-nasbench101": "naswot.make_correlation101_table",
    "naswot-search": "naswot_search.make_search_table",
    "naswot-evolution": "naswot_search.make_evolution_table",
    "naswot-ablation": "naswot.make_ablation_table",
    "comparison": "comparison.make_comparison_table",
    "nasbench201-found": "nasbench201.make_found_table",
    "predictor": "predictor.make_gain_table",
    "predictor-claims": "predictor.make_claims_table",
    "predictor-chosen": "predictor.make_selected_table",
    "primed": "nasbench201.make_warm_start_table",
    "proposal": "proposals.make_proposal_table",
    "ranking": "ranking.make_ranking_table",
}
"""Name of each table → module and function in `tables`; the function maps input files to a `TableResult`.

It raises a `UserError` for inputs that are missing, damaged, of another kind or too few, as those of `FIGURES` do.
"""
FIGURES = {
    "entropy": "curves.plot_entropy",
    "pi": "probabilities.plot_pi",
    "accuracy": "curves.plot_accuracy",
    "operations": "curves.plot_operations",
    "cells": "cells.plot_cells",
    "cost": "cost.plot_cost",
    "depths": "cost.plot_depths",
    "executor": "cost.plot_executor",
    "naswot-ablation": "naswot.plot_ablation",
    "naswot-cost": "naswot.plot_simulated_searches",
    "naswot-kernels": "naswot.plot_kernels",
    "naswot-scatter": "naswot.plot_scores",
    "found": "curves.plot_found",
    "found-spending": "spending.plot_found_spending",
    "predictor": "predictor.plot_predictor",
    "spending": "spending.plot_spending",
    "proposal": "predictor.plot_proposal",
    "ladder": "ladder.plot_ladder",
    "ranking": "ranking.plot_ranking",
}
"""Name of each figure → module and function in `figures`; the function maps input files to a `Drawing`."""
RUN_FIGURES = {"pi": "trajectory.parquet", "cells": "genotype.json"}
"""Figures of a run by name, and what they show of its folder."""


def table_code(name: str) -> str:
    """The function that makes table `name`, as `code_fingerprint` takes it: `module:function`."""
    return f"parsec.report.tables.{TABLES[name].replace('.', ':')}"


def figure_code(name: str) -> str:
    """The function that draws figure `name`, as `code_fingerprint` takes it: `module:function`."""
    return f"parsec.report.figures.{FIGURES[name].replace('.', ':')}"


def table_writer(name: str, **options: str | None) -> Callable[[list[Path], Path], None]:
    """The function that makes table `name` from input files and writes it as `write_table` does.

    `options` are keyword arguments of the table's function, such as the data set of `accuracy`.
    """
    from parsec.report.tables.markup import write_table  # planning reads the names only, without pandas

    module, function = table_code(name).split(":")
    make = getattr(import_module(module), function)
    return lambda inputs, output: write_table(make(inputs, **options), output)


def figure_writer(name: str) -> Callable[[list[Path], Path], None]:
    """The function that draws figure `name` from input files and writes it as `as_files` does."""
    from parsec.report.figures.style import as_files  # planning reads the names only, without matplotlib

    module, function = figure_code(name).split(":")
    return as_files(getattr(import_module(module), function))


def plot_runs(folders: Iterable[Path], output: Path) -> None:
    """Draw π over time and the cells of the searches in `folders` as `<output>/<figure>-<stage>-<method>-seed<k>`."""
    for folder in folders:
        run = read_results([folder / "result.json"])[0]
        name = f"{run['stage']}-{run['method']}-seed{run['seed']}"
        for figure, file in RUN_FIGURES.items():
            figure_writer(figure)([folder / file], output / f"{figure}-{name}")
