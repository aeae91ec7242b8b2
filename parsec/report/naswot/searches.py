"""Table: NASWOT's search with N candidates, a random choice and the best possible one, above the published."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from parsec.benchmarks.nasbench201 import DATA, Data, read_validation
from parsec.records.statistics import Summary, summarise, summarise_clusters
from parsec.report.naswot.draws import REPEATS, Drawn, replay
from parsec.report.naswot.inputs import LABELS, Scored, by_scoring, read_inputs
from parsec.report.naswot.published import FIRST_EVAL, FIRST_TRAIN, ICML, naswot_rows
from parsec.report.render import Section, Table
from parsec.report.tabulated import Tabulated
from parsec.report.text import NOTHING, mean_and_std, significant

HEADINGS = ["Method", "N", "Weight draws", *(f"{label} (%)" for label in LABELS.values()), "Scoring (s)", "Source"]
NOTES = [
    f"Accuracy after 200 epochs, mean ± sample standard deviation over {REPEATS} repeats (published: as printed there, "
    "over 500). Ours draw with replacement from the scored architectures, whose number stands above, N up to that "
    "number, and the accuracy is the mean over the benchmark's seeds.",
    "Weight draws: how often each architecture was scored, with fresh weights and images; repeats take turns among "
    "them. The published search drew weights and a training seed anew in every repeat. The CSV adds the 95 % "
    "t-interval of the mean: over the means of the draws, or, of one draw, over its repeats; the latter does not cover "
    "how other weights would do.",
    "Random: one architecture drawn. Best of the sample: the best accuracy among N drawn, for each data set.",
    "Seconds are those that scoring N architectures took on the machine that scored them.",
]
Reals = NDArray[np.float64]
Truth = dict[Data, Reals]


class Line(NamedTuple):
    """A method, its N, accuracies by data set [500] and seconds."""

    method: str
    candidates: int | None
    reached: Truth
    seconds: float | None
    weights: NDArray[np.int64] | None = None
    """[500]: the draw of weights, where the method reads scores."""

    @property
    def draws(self) -> int | None:
        """Draws of weights."""
        return None if self.weights is None else int(self.weights.max()) + 1

    def summary(self, data: Data) -> Summary:
        """Over repeats; where there are several draws of weights, with the interval over their means."""
        values, draws = self.reached[data], self.draws or 1
        if draws == 1:
            return summarise(values.tolist())
        return summarise_clusters([values[self.weights == draw].tolist() for draw in range(draws)])


def tabulate(inputs: list[Path]) -> Tabulated:
    """The benchmark's table and files of scores → test and, where known, validation accuracies that the searches reach.

    Raises:
        UserError: a file that is missing or another one.
    """
    truth, scored = read_inputs("naswot-search", inputs)
    splits, rows = {"test": truth.test, "validation": read_validation(inputs[0])}, list[dict[str, Any]]()
    sections, sources = [], list[str]()
    for split, accuracies in splits.items():
        if len(accuracies) < len(DATA):
            continue
        for draws in by_scoring(scored):
            lines, first = list(_lines(draws, accuracies)), draws[0]
            more = f" and {len(draws) - 1} more" if len(draws) > 1 else ""
            title = f"{first.title}{more}, {len(first.rows):,} architectures, {split}"
            sections.append(Section(title, [_cells(line) for line in lines]))
            rows += [row for line in lines for row in _numbers(first, split, line)]
        sections += _published(split, sources)
    caption = "Architecture search without training on NAS-Bench-201"
    table = Table("naswot-search", caption, HEADINGS, sections, NOTES, sources, "lrrrrrrl")
    return Tabulated(table, pd.DataFrame(rows))


def _lines(draws: Sequence[Scored], truth: Truth) -> Iterator[Line]:
    drawn = list(replay(draws))
    for one in drawn:
        reached = {data: truth[data][one.chosen] for data in DATA}
        yield Line("NASWOT", one.candidates, reached, one.seconds, one.weights)
    yield Line("Random", None, {data: truth[data][drawn[0].sample[:, 0]] for data in DATA}, None)
    for one in drawn:
        yield Line("Best of the sample", one.candidates, _best(one, truth), None)


def _best(drawn: Drawn, truth: Truth) -> Truth:
    return {data: truth[data][drawn.sample].max(axis=1) for data in DATA}


def _cells(line: Line) -> list[str]:
    reached = [mean_and_std(line.summary(data)) for data in DATA]
    counts = [NOTHING if count is None else str(count) for count in (line.candidates, line.draws)]
    return [line.method, *counts, *reached, _seconds(line.seconds), ""]


def _seconds(value: float | None) -> str:
    return NOTHING if value is None else significant(value, 3)


def _numbers(scored: Scored, split: str, line: Line) -> Iterator[dict[str, Any]]:
    named = {"score": scored.kind, "mode": scored.mode, "dataset": scored.dataset, "seed": scored.seed}
    for data in DATA:
        row = {
            **named,
            "method": line.method,
            "candidates": line.candidates,
            "draws": line.draws,
            "reached_on": data,
            "split": split,
            "seconds": line.seconds,
        }
        yield {**row, **line.summary(data)._asdict()}


def _published(split: str, sources: list[str]) -> list[Section]:
    """Sections of the versions of the paper; its sources, which rows name by number, are added to `sources`."""
    rows = naswot_rows("NAS-Bench-201", metric="accuracy_pct", split=split, runs="500")
    titles = {
        ICML: "Published, ICML 2021: log-determinant, train mode",
        FIRST_TRAIN: "Published, code of the first version: Jacobian eigenvalues, train mode",
        FIRST_EVAL: "Published, first version: Jacobian eigenvalues, eval mode",
    }
    rows = rows[rows["method"].str.startswith(("NASWOT", "Random", "Optimal"))]
    sources += [source for source in dict.fromkeys(rows["source"]) if source not in sources]
    groups = ((title, rows[rows["paper_version"] == version]) for version, title in titles.items())
    return [Section(f"{title}, {split}", _printed(group, sources)) for title, group in groups]


def _printed(rows: pd.DataFrame, sources: Sequence[str]) -> list[list[str]]:
    lines = []
    for (method, count), group in rows.groupby(["method", "sample_size_n"], sort=False):
        by_data = group.set_index("dataset")
        reached = [f"{by_data['value'][label]} ± {by_data['std'][label]}" for label in LABELS.values()]
        first = group.iloc[0]
        name = str(method).replace("Optimal (best of sample)", "Best of the sample").partition("-v1")[0]
        source = f"[{sources.index(first['source']) + 1}]"
        draws = first["runs"] if name == "NASWOT" else NOTHING
        lines.append([name, str(count) or NOTHING, draws, *reached, first["search_time_s"] or NOTHING, source])
    return lines
