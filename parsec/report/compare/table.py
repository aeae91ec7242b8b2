"""Table: all methods at one budget, with the difference of each to PARSEC, paired by seed."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import pandas as pd

from parsec.records.statistics import Paired, Summary, holm, paired, summarise
from parsec.report.compare.runs import COSTS, GROUP, Outcome, outcomes, read_compared
from parsec.report.render import Section, Table
from parsec.report.rows import METHODS, STAGES
from parsec.report.tabulated import Tabulated
from parsec.report.text import NOTHING, listing, mean_and_std, millions, significant

REFERENCE = "parsec"
COST_HEADINGS = [
    "Child images (M)",
    "Time (s)",
    "Memory (MB)",
    "Parameters (M)",
    "Multiply-adds (M)",
    "Skip connections (%)",
]
NOTES = [
    "n searches with seeds of their own; ± is the sample standard deviation over them. Difference: to PARSEC with the "
    "same seed, in the column before it (the CSV has the others), mean with its 95 % interval (Student t of "
    "the pairs); p is of no difference, two-sided, adjusted by Holm for the number of methods it was tested for.",
    "Child images: forward passes of single images through children in the search; one through a mixture counts as "
    "many children as it takes multiply-adds for. Time and memory are those of the search's process on its device, "
    "means over searches; processes that ran at the same time share the machine.",
    "Skip connections: their share of the edges of the architectures found. Parameters and multiply-adds are those of "
    "the architectures as networks of the size of the search.",
]


class Found(NamedTuple):
    """One outcome of one method, and its difference to PARSEC where there is one."""

    summary: Summary
    difference: Paired | None
    p: float | None
    """Of the difference, adjusted for the number of methods."""


class Line(NamedTuple):
    """One method in one stage."""

    method: str
    runs: pd.DataFrame
    found: dict[str, Found]


def tabulate(inputs: Sequence[Path]) -> Tabulated:
    """See `read_compared`.

    Raises:
        UserError: as `read_compared`.
    """
    runs = read_compared(inputs)
    measured, sections, data = outcomes(runs), list[Section](), list[dict[str, Any]]()
    for (stage, where), group in runs.groupby(GROUP, sort=False):
        lines = _lines(group, [outcome for outcome in measured if group[outcome.name].notna().all()])
        title = f"{STAGES[stage].capitalize()}; what was found, on {where}"
        sections.append(Section(title, [_cells(line, measured) for line in lines]))
        data += [{"stage": stage, "outcome": where, **_numbers(line)} for line in lines]
    first, *others = [outcome.heading for outcome in measured]
    headings = ["Method", "n", first, "Difference", "p", *others, *COST_HEADINGS]
    caption = f"Methods beside each other on {listing(runs['outcome'])}"
    table = Table("comparison", caption, headings, sections, NOTES, [], "l" + "r" * (len(headings) - 1))
    return Tabulated(table, pd.DataFrame(data))


def _lines(group: pd.DataFrame, measured: list[Outcome]) -> list[Line]:
    """One line a method, PARSEC first."""
    names = sorted(dict.fromkeys(group["method"]), key=lambda name: name != REFERENCE)
    by_name = {name: group[group["method"] == name].set_index("seed").sort_index() for name in names}
    columns = {outcome.name: _found(by_name, outcome.name) for outcome in measured}
    return [Line(name, runs, {key: found[name] for key, found in columns.items()}) for name, runs in by_name.items()]


def _found(by_name: dict[str, pd.DataFrame], outcome: str) -> dict[str, Found]:
    """An outcome of all methods."""
    values = {name: runs[outcome] for name, runs in by_name.items()}
    differences = {name: _difference(name, values) for name in values}
    tested = {name: pair.p for name, pair in differences.items() if pair and pair.p is not None}
    adjusted = dict(zip(tested, holm(list(tested.values())), strict=True))
    return {
        name: Found(summarise(found.to_list()), differences[name], adjusted.get(name)) for name, found in values.items()
    }


def _difference(name: str, values: "dict[str, pd.Series[float]]") -> Paired | None:
    """To PARSEC, over the seeds that both have; None for PARSEC itself, and where it did not run."""
    if name == REFERENCE or REFERENCE not in values:
        return None
    seeds = values[name].index.intersection(values[REFERENCE].index)
    if seeds.empty:
        return None
    return paired(values[name][seeds].to_list(), values[REFERENCE][seeds].to_list())


def _cells(line: Line, measured: list[Outcome]) -> list[str]:
    means = line.runs[COSTS].mean()
    first, *others = [line.found.get(outcome.name) for outcome in measured]
    name = METHODS.get(line.method, (line.method, ""))[0]
    values = [mean_and_std(found.summary if found else None) for found in (first, *others)]
    counts = [millions(means["parameters"]), millions(means["multiply_adds"]), f"{100 * means['skip_share']:.0f}"]
    costs = [significant(means["seconds"], 3), significant(means["peak_bytes"] / 1e6, 3)]
    compared = _compared(first) if first else [NOTHING, NOTHING]
    return [
        name,
        str(len(line.runs)),
        values[0],
        *compared,
        *values[1:],
        millions(means["child_images"]),
        *costs,
        *counts,
    ]


def _compared(found: Found) -> list[str]:
    difference, p = found.difference, found.p
    if difference is None:
        return [NOTHING, NOTHING]
    interval = "" if difference.low is None else f" [{_signed(difference.low)}, {_signed(difference.high)}]"
    return [_signed(difference.mean) + interval, NOTHING if p is None else significant(p, 2)]


def _signed(value: float | None) -> str:
    return f"{value:+.2f}".replace("-", "−")


def _numbers(line: Line) -> dict[str, Any]:
    numbers: dict[str, Any] = {"method": line.method, "runs": len(line.runs)}
    for name, found in line.found.items():
        numbers |= {f"{name}_{part}": value for part, value in found.summary._asdict().items() if part != "n"}
        if found.difference:
            numbers |= {f"{name}_difference_{part}": value for part, value in found.difference._asdict().items()}
            numbers |= {f"{name}_p_holm": found.p}
    return {**numbers, **line.runs[COSTS].mean().to_dict()}
