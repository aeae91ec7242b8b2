"""Figure: peak memory and time of a search step against K, beside one architecture trained alone."""

import json
from pathlib import Path
from typing import Any

from matplotlib.axes import Axes
from matplotlib.ticker import FixedLocator, NullLocator, ScalarFormatter

from parsec.errors import UserError
from parsec.report.figures.style import BLACK, DOUBLE, Drawing, legend_below, new_figure, series

GIBIBYTE = 2**30
MEBIBYTE = 2**20
ALONE = "one child trained alone"

Row = dict[str, Any]


def _read(inputs: list[Path]) -> Row:
    if len(inputs) != 1:
        raise UserError(f"the figure executor shows one measurement, got {len(inputs)}; give one executor.json")
    try:
        document: Row = json.loads(inputs[0].read_text(encoding="utf-8"))
        if not document["rows"]:
            raise UserError(f"{inputs[0]}: holds no measurement; run `measure` again")
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise UserError(f"{inputs[0]}: not a measurement ({error}); run `measure` again") from error
    return document


def _draw_alone(axes: Axes, value: float) -> None:
    axes.axhline(value, color=BLACK, linestyle=(0, (4, 2)), linewidth=1.0, label="one architecture trained alone")


def _draw_memory(axes: Axes, alone: list[Row], executors: dict[str, list[Row]]) -> None:
    largest = max(row["peak_bytes"] for row in [*alone, *(row for rows in executors.values() for row in rows)])
    unit, name = (GIBIBYTE, "GiB") if largest >= GIBIBYTE else (MEBIBYTE, "MiB")
    for position, (executor, rows) in enumerate(executors.items()):
        values = [row["peak_bytes"] / unit for row in rows]
        label = f"search step, executor {executor}"
        axes.plot([row["samples"] for row in rows], values, label=label, **series(position).plot())
    for row in alone:
        _draw_alone(axes, row["peak_bytes"] / unit)
    axes.set_ylabel(f"Peak memory ({name})")


def _draw_time(axes: Axes, alone: list[Row], executors: dict[str, list[Row]]) -> None:
    for position, rows in enumerate(executors.values()):
        spread = [[row["seconds"] - row["seconds_spread"][0] for row in rows]]
        spread += [[row["seconds_spread"][1] - row["seconds"] for row in rows]]
        values = [row["seconds"] for row in rows]
        axes.errorbar([row["samples"] for row in rows], values, spread, capsize=2, **series(position).plot())
    for row in alone:
        _draw_alone(axes, row["seconds"])
    axes.set_ylabel("Seconds per step")


def _samples_axis(axes: Axes, samples: list[int]) -> None:
    axes.set_xscale("log", base=2)
    axes.xaxis.set_major_locator(FixedLocator(samples))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.xaxis.set_major_formatter(ScalarFormatter())
    axes.set_xlim(min(samples) / 1.3, max(samples) * 1.3)
    axes.set_ylim(bottom=0)
    axes.set_xlabel("K, children per step")


def _csv(row: Row) -> Row:
    low, high = row["seconds_spread"]
    kept = {key: row[key] for key in ("setting", "executor", "samples", "seconds")}
    return kept | {"seconds_low": low, "seconds_high": high, "peak_bytes": row["peak_bytes"]}


def draw(inputs: list[Path]) -> Drawing:
    """One executor.json → peak memory and seconds per step (median, bars from fastest to slowest) against K.

    Raises:
        UserError: not exactly one measurement, or a damaged one.
    """
    document = _read(inputs)
    alone = [row for row in document["rows"] if row["setting"] == ALONE]
    executors: dict[str, list[Row]] = {}
    for row in sorted(document["rows"], key=lambda row: int(row["samples"])):
        if row["setting"] != ALONE:
            executors.setdefault(row["executor"], []).append(row)
    figure = new_figure(DOUBLE, 2.5)
    memory, time = figure.subplots(1, 2)
    _draw_memory(memory, alone, executors)
    _draw_time(time, alone, executors)
    for axes in (memory, time):
        _samples_axis(axes, sorted({row["samples"] for row in document["rows"]}))
    network = document["network"]
    size = f"{network['cells']} cells × {network['channels']} channels, batch of {document['batch_size']}"
    device = "CPU" if document["device"] == "cpu" else document["device"]
    figure.suptitle(f"{device}, {size}", fontsize=8)
    legend_below(figure, [memory])
    return Drawing(figure, [_csv(row) for row in document["rows"]])
