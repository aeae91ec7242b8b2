"""Figures of memory and time: peak memory against depth, memory and time of a step against K."""

MEBIBYTE = 2**20
LABELS = {"sequential": ", one architecture at a time"}
"""Suffix of a method's name by executor."""


def _read_depths(path: Path) -> pd.DataFrame:
    rows = read_document(path, "depths")["rows"]
    return pd.DataFrame(rows, columns=["method", "executor", "cells", "peak_bytes"])


def _label(method: str, executor: str) -> str:
    added = LABELS.get(executor, ", several architectures at once") if method == "parsec" else ""
    return METHODS.get(method, (method, ""))[0] + added


def plot_depths(inputs: list[Path]) -> Drawing:
    """Files of `depths` (JSON) → most bytes of tensors at once over the number of cells, both axes logarithmic.

    Raises:
        UserError: a file that is missing, damaged or empty.
    """
    rows = pd.concat([_read_depths(path) for path in inputs], ignore_index=True)
    figure = new_figure(DOUBLE, 3.0)
    axes = figure.add_subplot()
    for i, ((method, executor), line) in enumerate(rows.groupby(["method", "executor"], sort=False)):
        look = series(i).plot() | {"label": _label(str(method), str(executor))}
        axes.plot(line["cells"], line["peak_bytes"] / MEBIBYTE, **look)
    axes.set_xscale("log")
    axes.set_yscale("log")
    axes.xaxis.set_major_locator(FixedLocator(sorted(set(rows["cells"]))))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.xaxis.set_major_formatter(ScalarFormatter())
    axes.yaxis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0)))
    axes.yaxis.set_major_formatter(ScalarFormatter())
    axes.yaxis.set_minor_formatter(NullFormatter())
    axes.set_xlabel("Cells of the network, or of a stage of NAS-Bench-201")
    axes.set_ylabel("Peak memory (MiB)")
    legend_below(figure, [axes])
    return Drawing(figure, rows)


GIBIBYTE = 2**30
STEP = "search step"


class Level(NamedTuple):
    """A horizontal line: what does not depend on K."""

    label: str
    colour: str
    dash: Dash


LEVELS = {
    "one child trained alone": Level("one architecture trained alone", BLACK, (0, (4, 2))),
    "DARTS supernet": Level("DARTS supernet", GREY, (0, (1, 1))),
}


def _plot_levels(axes: Axes, others: pd.DataFrame, column: str, unit: float = 1.0) -> None:
    for setting, value in zip(others["setting"], others[column], strict=True):
        level = LEVELS[setting]
        axes.axhline(value / unit, color=level.colour, linestyle=level.dash, linewidth=1.0, label=level.label)


def _plot_memory(axes: Axes, others: pd.DataFrame, steps: pd.DataFrame) -> None:
    largest = pd.concat([others, steps])["peak_bytes"].max()
    unit, name = (GIBIBYTE, "GiB") if largest >= GIBIBYTE else (MEBIBYTE, "MiB")
    for position, (executor, rows) in enumerate(steps.groupby("executor", sort=False)):
        label = f"search step, executor {executor}"
        axes.plot(rows["samples"], rows["peak_bytes"] / unit, label=label, **series(position).plot())
    _plot_levels(axes, others, "peak_bytes", unit)
    axes.set_ylabel(f"Peak memory ({name})")


def _plot_time(axes: Axes, others: pd.DataFrame, steps: pd.DataFrame) -> None:
    for position, (_, rows) in enumerate(steps.groupby("executor", sort=False)):
        spread = rows["seconds"] - rows["seconds_low"], rows["seconds_high"] - rows["seconds"]
        axes.errorbar(rows["samples"], rows["seconds"], spread, capsize=2, **series(position).plot())
    _plot_levels(axes, others, "seconds")
    axes.set_ylabel("Seconds per step")


def _samples_axis(axes: Axes, samples: list[int]) -> None:
    axes.set_xscale("log", base=2)
    axes.xaxis.set_major_locator(FixedLocator(samples))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.xaxis.set_major_formatter(ScalarFormatter())
    axes.set_xlim(min(samples) / 1.3, max(samples) * 1.3)
    axes.set_xlabel("K, children per step")


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
    figure = new_figure(DOUBLE, 2.5)
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
    legend_below(figure, [memory])
    return Drawing(figure, table)
