"""Table: NASWOT's search with N candidates, a random choice and the best possible one, above the published."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from parsec.benchmarks.nasbench201 import DATA, Data
from parsec.records.statistics import Summary, summarise
from parsec.report.naswot.draws import REPEATS, Drawn, replay
from parsec.report.naswot.inputs import LABELS, Scored, read_inputs
from parsec.report.naswot.published import FIRST_EVAL, FIRST_TRAIN, ICML, naswot_rows
from parsec.report.render import Section, Table
from parsec.report.tabulated import Tabulated
from parsec.report.text import NOTHING, mean_and_std, significant

HEADINGS = ["Method", "N", *(f"{label} (%)" for label in LABELS.values()), "Scoring (s)", "Source"]
NOTES = [
    f"Test accuracy after 200 epochs, mean ± standard deviation over {REPEATS} repeats. Ours draw with replacement "
    "from the scored architectures, whose number stands above, N up to that number; each was scored once, and its "
    "accuracy is the mean over the benchmark's seeds. The published search drew weights and a training seed anew in "
    "every repeat.",
    "Random: one architecture drawn. Best of the sample: the best test accuracy among N drawn, for each data set.",
    "Seconds are those that scoring N architectures took on the machine that scored them.",
]
Reals = NDArray[np.float64]
Truth = dict[Data, Reals]


class Line(NamedTuple):
    """A method, its N, test accuracies by data set [500] and seconds."""

    method: str
    candidates: int | None
    reached: Truth
    seconds: float | None


def tabulate(inputs: list[Path]) -> Tabulated:
    """The benchmark's table and files of scores → test accuracies that the searches reach.

    Raises:
        UserError: a file that is missing or another one.
    """
    truth, scored = read_inputs("naswot-search", inputs)
    sections, rows = [], list[dict[str, Any]]()
    for one in scored:
        lines = list(_lines(one, truth.test))
        sections.append(Section(f"{one.title}, {len(one.rows):,} architectures", [_cells(line) for line in lines]))
        rows += [row for line in lines for row in _numbers(one, line)]
    theirs, sources = _published()
    caption = "Architecture search without training on NAS-Bench-201"
    table = Table("naswot-search", caption, HEADINGS, [*sections, *theirs], NOTES, sources, "lrrrrrl")
    return Tabulated(table, pd.DataFrame(rows))


def _lines(scored: Scored, truth: Truth) -> Iterator[Line]:
    drawn = list(replay(scored))
    for one in drawn:
        yield Line("NASWOT", one.candidates, {data: truth[data][one.chosen] for data in DATA}, one.seconds)
    yield Line("Random", None, {data: truth[data][drawn[0].sample[:, 0]] for data in DATA}, None)
    for one in drawn:
        yield Line("Best of the sample", one.candidates, _best(one, truth), None)


def _best(drawn: Drawn, truth: Truth) -> Truth:
    return {data: truth[data][drawn.sample].max(axis=1) for data in DATA}


def _summary(values: Reals) -> Summary:
    return summarise([float(value) for value in values])


def _cells(line: Line) -> list[str]:
    reached = [mean_and_std(_summary(line.reached[data])) for data in DATA]
    count = NOTHING if line.candidates is None else str(line.candidates)
    return [line.method, count, *reached, _seconds(line.seconds), ""]


def _seconds(value: float | None) -> str:
    return NOTHING if value is None else significant(value, 3)


def _numbers(scored: Scored, line: Line) -> Iterator[dict[str, Any]]:
    named = {"score": scored.kind, "mode": scored.mode, "dataset": scored.dataset, "seed": scored.seed}
    for data in DATA:
        row = {**named, "method": line.method, "candidates": line.candidates, "test_of": data, "seconds": line.seconds}
        yield {**row, **_summary(line.reached[data])._asdict()}


def _published() -> tuple[list[Section], list[str]]:
    """Sections of the versions of the paper, and the sources that their rows name by number."""
    rows = naswot_rows("NAS-Bench-201", metric="accuracy_pct", split="test", runs="500")
    titles = {
        ICML: "Published, ICML 2021: log-determinant, train mode",
        FIRST_TRAIN: "Published, code of the first version: Jacobian eigenvalues, train mode",
        FIRST_EVAL: "Published, first version: Jacobian eigenvalues, eval mode",
    }
    rows = rows[rows["method"].str.startswith(("NASWOT", "Random", "Optimal"))]
    sources = list(dict.fromkeys(rows["source"]))
    groups = ((title, rows[rows["paper_version"] == version]) for version, title in titles.items())
    return [Section(title, _printed(group, sources)) for title, group in groups], sources


def _printed(rows: pd.DataFrame, sources: Sequence[str]) -> list[list[str]]:
    lines = []
    for (method, count), group in rows.groupby(["method", "sample_size_n"], sort=False):
        by_data = group.set_index("dataset")
        reached = [f"{by_data['value'][label]} ± {by_data['std'][label]}" for label in LABELS.values()]
        first = group.iloc[0]
        name = str(method).replace("Optimal (best of sample)", "Best of the sample").partition("-v1")[0]
        source = f"[{sources.index(first['source']) + 1}]"
        lines.append([name, str(count) or NOTHING, *reached, first["search_time_s"] or NOTHING, source])
    return lines
