"""What the figures over epochs share: one panel a stage, one line a seed."""

from collections.abc import Mapping, Sequence
from typing import Any

from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator

from parsec.report.figures.style import every, series
from parsec.report.runs import Run


def seeds_of(panels: dict[str, list[Run]]) -> list[tuple[str, int]]:
    """Method and seed of every line, so that a seed looks the same in every panel."""
    return sorted({(run.method, run.seed) for runs in panels.values() for run in runs})


def label_of(line: tuple[str, int], lines: Sequence[tuple[str, int]]) -> str:
    """`seed 1`, with the method where there are several."""
    method, seed = line
    return f"seed {seed}" if len({method for method, _ in lines}) == 1 else f"{method}, seed {seed}"


def draw_line(
    axes: Axes,
    run: Run,
    name: str,
    lines: Sequence[tuple[str, int]],
    factor: float = 1.0,
    style: Mapping[str, Any] | None = None,
) -> None:
    """Draw one metric of one run over its epochs, multiplied by `factor`."""
    epochs, values = run.values(name)
    position = lines.index((run.method, run.seed))
    look = {"label": label_of(lines[position], lines), "markevery": every(len(epochs)), **series(position).plot()}
    axes.plot(epochs, [factor * value for value in values], **(look | dict(style or {})))


def epoch_axis(axes: Axes, labelled: bool = True) -> None:
    """Whole epochs on the horizontal axis, from the state before training."""
    axes.xaxis.set_major_locator(MaxNLocator(nbins=5, integer=True))
    axes.set_xlim(left=0)
    axes.margins(x=0.03)
    if labelled:
        axes.set_xlabel("Epoch")


def metric_rows(panels: dict[str, list[Run]], names: Sequence[str]) -> list[dict[str, Any]]:
    """Numbers of a figure over epochs: one row a run and epoch."""
    return [
        {**run.keys, "epoch": row["epoch"], **{name: row.get(name) for name in names}}
        for runs in panels.values()
        for run in runs
        for row in run.epochs
    ]
