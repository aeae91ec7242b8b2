"""Figures of memory and time: peak memory against depth, memory and time of a step against K."""

from pathlib import Path
from typing import NamedTuple

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.ticker import FixedLocator, LogLocator, NullFormatter, NullLocator, ScalarFormatter

from parsec.errors import UserError
from parsec.records.documents import read_document
from parsec.report.figures.style import DOUBLE, Drawing, from_zero, legend_below, new_figure
from parsec.report.methods import BLACK, GREY, Dash, described

MEBIBYTE = 2**20
DEPTHS = {"darts": "Cells of the network", "nasbench201": "Cells per stage (the network has three stages)"}
"""Horizontal axis by search space."""


def _read_depths(path: Path) -> tuple[pd.DataFrame, set[str]]:
    """Measured rows, and the search spaces that they are of."""
    document = read_document(path, "depths")
    rows = pd.DataFrame(document["rows"], columns=["method", "executor", "cells", "peak_bytes"])
    methods = document["provenance"]["settings"].get("methods", [])
    return rows, {settings["space"] for settings in methods if isinstance(settings, dict) and "space" in settings}


def plot_depths(inputs: list[Path]) -> Drawing:
    """Files of `depths` (JSON) → most bytes of tensors at once over the number of cells, both axes logarithmic.

    Raises:
        UserError: a file that is missing, damaged or empty.
    """
    read = [_read_depths(path) for path in inputs]
    rows, spaces = pd.concat([rows for rows, _ in read], ignore_index=True), set().union(*(s for _, s in read))
    figure = new_figure(DOUBLE, 2.8)
    axes = figure.add_subplot()
    measured = list(rows.groupby(["method", "executor"], sort=False))
    methods = described(rows["method"].unique())
    # Open markers, the first ones largest, show lines that lie on one another.
    for i, name in enumerate(methods):
        for (_, executor), line in (each for each in measured if each[0][0] == name):
            look = methods[name].line.plot() | {"markersize": 8 - 0.7 * i, "markerfacecolor": "none"}
            label = methods[name].name
            if name == "parsec":
                at_once = executor != "sequential"
                label += ", K architectures at once" if at_once else ", one architecture at a time"
                look |= {"linestyle": (0, (4, 1.5)), "marker": "*", "markersize": 10} if at_once else {}
            axes.plot(line["cells"], line["peak_bytes"] / MEBIBYTE, **look, label=label)
    axes.set_xscale("log")
    axes.set_yscale("log")
    axes.xaxis.set_major_locator(FixedLocator(sorted(set(rows["cells"]))))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.xaxis.set_major_formatter(ScalarFormatter())
    axes.yaxis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0)))
    axes.yaxis.set_major_formatter(ScalarFormatter())
    axes.yaxis.set_minor_formatter(NullFormatter())
    axes.set_xlabel(DEPTHS.get(next(iter(spaces)), "Cells") if len(spaces) == 1 else "Cells")
    axes.set_ylabel("Peak memory (MiB)")
    legend_below(figure, [axes], "One measurement per point; both axes are logarithmic.")
    return Drawing(figure, rows)


GIBIBYTE = 2**30
STEP = "search step"


class Level(NamedTuple):
    """A horizontal line: what does not depend on K."""

    label: str
    colour: str
    dash: Dash


LEVELS = {
    "one child trained alone": Level("training step of one architecture", BLACK, (0, (4, 2))),
    "DARTS supernet": Level("step of the DARTS supernet", GREY, (0, (1, 1))),
}
EXECUTORS = {
    "sequential": "K architectures one after another",
    "grouped": "K architectures at once, grouped convolutions",
    "fused": "K architectures at once, fused kernels",
}
"""Executors in words."""
LINES = [method.line for method in described({"parsec": None, **dict.fromkeys(EXECUTORS, "parsec")}).values()]
"""Lines of the executors: all run PARSEC's step, so all have its colour."""


def _plot_levels(axes: Axes, others: pd.DataFrame, column: str, unit: float = 1.0) -> None:
    for setting, value in zip(others["setting"], others[column], strict=True):
        level = LEVELS[setting]
        axes.axhline(value / unit, color=level.colour, linestyle=level.dash, linewidth=1.0, label=level.label)


def _plot_memory(axes: Axes, others: pd.DataFrame, steps: pd.DataFrame) -> None:
    largest = pd.concat([others, steps])["peak_bytes"].max()
    unit, name = (GIBIBYTE, "GiB") if largest >= GIBIBYTE else (MEBIBYTE, "MiB")
    for position, (executor, rows) in enumerate(steps.groupby("executor", sort=False)):
        label = EXECUTORS.get(str(executor), str(executor))
        axes.plot(rows["samples"], rows["peak_bytes"] / unit, label=label, **LINES[position].plot())
    _plot_levels(axes, others, "peak_bytes", unit)
    axes.set_ylabel(f"Peak memory ({name})")


def _plot_time(axes: Axes, others: pd.DataFrame, steps: pd.DataFrame) -> None:
    for position, (_, rows) in enumerate(steps.groupby("executor", sort=False)):
        spread = rows["seconds"] - rows["seconds_low"], rows["seconds_high"] - rows["seconds"]
        axes.errorbar(rows["samples"], rows["seconds"], spread, capsize=2, **LINES[position].plot())
    _plot_levels(axes, others, "seconds")
    axes.set_ylabel("Time per step (s)")


def _samples_axis(axes: Axes, samples: list[int]) -> None:
    axes.set_xscale("log", base=2)
    axes.xaxis.set_major_locator(FixedLocator(samples))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.xaxis.set_major_formatter(ScalarFormatter())
    axes.set_xlim(min(samples) / 1.3, max(samples) * 1.3)
    axes.set_xlabel("K, sampled architectures per step")


def plot_executor(inputs: list[Path]) -> Drawing:
    """One executor.json → peak memory and seconds per step (median, bars from fastest to slowest) against K.

    Raises:
        UserError: not exactly one measurement, or a damaged one.
    """
    if len(inputs) != 1:
        raise UserError(f"the figure executor shows one measurement, got {len(inputs)}; give one executor.json")
    document = read_document(inputs[0], "measure")
    table = pd.DataFrame(document["rows"])
    table[["seconds_low", "seconds_high"]] = table["seconds_spread"].to_list()
    table = table[["setting", "executor", "samples", "seconds", "seconds_low", "seconds_high", "peak_bytes"]]
    by_samples = table.sort_values("samples", kind="stable")
    others, steps = by_samples[by_samples["setting"].isin(LEVELS)], by_samples[by_samples["setting"] == STEP]
    figure = new_figure(DOUBLE, 2.2)
    memory, time = figure.subplots(1, 2)
    _plot_memory(memory, others, steps)
    _plot_time(time, others, steps)
    for axes in (memory, time):
        from_zero([axes])
        _samples_axis(axes, sorted(table["samples"].unique()))
    network = document["network"]
    size = f"{network['cells']} cells × {network['channels']} channels, batch of {document['batch_size']}"
    device = "CPU" if document["device"] == "cpu" else document["device"]
    figure.suptitle(f"{device}, {size}", fontsize=8)
    repeats = document["provenance"]["settings"].get("measure", {}).get("repeats")
    count = f"n = {repeats} repeated steps" if repeats else "repeated steps"
    note = f"Search step with {count}: median time, bars from the fastest to the slowest."
    legend_below(figure, [memory], note)
    return Drawing(figure, table)
