"""Figure: peak memory and time of a search step against K, beside one architecture alone and DARTS' supernet."""

from pathlib import Path
from typing import Any, NamedTuple

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.ticker import FixedLocator, NullLocator, ScalarFormatter

from parsec.errors import UserError
from parsec.records.documents import read_document
from parsec.report.figures.style import BLACK, DOUBLE, GREY, Dash, Drawing, from_zero, legend_below, new_figure, series

GIBIBYTE = 2**30
MEBIBYTE = 2**20
STEP = "search step"
Row = dict[str, Any]


class Level(NamedTuple):
    """A horizontal line: what does not depend on K."""

    label: str
    colour: str
    dash: Dash


LEVELS = {
    "one child trained alone": Level("one architecture trained alone", BLACK, (0, (4, 2))),
    "DARTS supernet": Level("DARTS supernet", GREY, (0, (1, 1))),
}


def _read(inputs: list[Path]) -> Row:
    if len(inputs) != 1:
        raise UserError(f"the figure executor shows one measurement, got {len(inputs)}; give one executor.json")
    return read_document(inputs[0], "measure")


def _draw_levels(axes: Axes, others: pd.DataFrame, column: str, unit: float = 1.0) -> None:
    for setting, value in zip(others["setting"], others[column], strict=True):
        level = LEVELS[setting]
        axes.axhline(value / unit, color=level.colour, linestyle=level.dash, linewidth=1.0, label=level.label)


def _draw_memory(axes: Axes, others: pd.DataFrame, steps: pd.DataFrame) -> None:
    largest = pd.concat([others, steps])["peak_bytes"].max()
    unit, name = (GIBIBYTE, "GiB") if largest >= GIBIBYTE else (MEBIBYTE, "MiB")
    for position, (executor, rows) in enumerate(steps.groupby("executor", sort=False)):
        label = f"search step, executor {executor}"
        axes.plot(rows["samples"], rows["peak_bytes"] / unit, label=label, **series(position).plot())
    _draw_levels(axes, others, "peak_bytes", unit)
    axes.set_ylabel(f"Peak memory ({name})")


def _draw_time(axes: Axes, others: pd.DataFrame, steps: pd.DataFrame) -> None:
    for position, (_, rows) in enumerate(steps.groupby("executor", sort=False)):
        spread = rows["seconds"] - rows["seconds_low"], rows["seconds_high"] - rows["seconds"]
        axes.errorbar(rows["samples"], rows["seconds"], spread, capsize=2, **series(position).plot())
    _draw_levels(axes, others, "seconds")
    axes.set_ylabel("Seconds per step")


def _samples_axis(axes: Axes, samples: list[int]) -> None:
    axes.set_xscale("log", base=2)
    axes.xaxis.set_major_locator(FixedLocator(samples))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.xaxis.set_major_formatter(ScalarFormatter())
    axes.set_xlim(min(samples) / 1.3, max(samples) * 1.3)
    axes.set_xlabel("K, children per step")


def _table(rows: list[Row]) -> pd.DataFrame:
    table = pd.DataFrame(rows)
    table[["seconds_low", "seconds_high"]] = table["seconds_spread"].to_list()
    return table[["setting", "executor", "samples", "seconds", "seconds_low", "seconds_high", "peak_bytes"]]


def draw(inputs: list[Path]) -> Drawing:
    """One executor.json → peak memory and seconds per step (median, bars from fastest to slowest) against K.

    Raises:
        UserError: not exactly one measurement, or a damaged one.
    """
    document = _read(inputs)
    table = _table(document["rows"])
    by_samples = table.sort_values("samples", kind="stable")
    others, steps = by_samples[by_samples["setting"].isin(LEVELS)], by_samples[by_samples["setting"] == STEP]
    figure = new_figure(DOUBLE, 2.5)
    memory, time = figure.subplots(1, 2)
    _draw_memory(memory, others, steps)
    _draw_time(time, others, steps)
    for axes in (memory, time):
        from_zero([axes])
        _samples_axis(axes, sorted(table["samples"].unique()))
    network = document["network"]
    size = f"{network['cells']} cells × {network['channels']} channels, batch of {document['batch_size']}"
    device = "CPU" if document["device"] == "cpu" else document["device"]
    figure.suptitle(f"{device}, {size}", fontsize=8)
    legend_below(figure, [memory])
    return Drawing(figure, table)
