"""Tables on NASWOT: searches by score, and simulated searches."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Literal, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from parsec.errors import UserError
from parsec.report.methods import METHODS as REGISTRY
from parsec.report.tables.base import (
    NOTHING,
    Column,
    Section,
    Table,
    TableResult,
    keyed_columns,
    list_columns,
    mean_and_std,
    significant,
)
from parsec.report.tables.nasbench201 import ACCURACIES, LABELS
from parsec.report.tables.naswot import (
    FIRST_EVAL,
    FIRST_TRAIN,
    ICML,
    ScoreFile,
    after_table,
    by_scoring,
    naswot_rows,
    read_inputs,
)
from parsec.stats import Summary, summarise, summarise_clusters
from parsec.tabular.nasbench201 import DATA, Data, ReportColumns, read_report_columns, read_validation
from parsec.tabular.problem import FloatArray
from parsec.tabular.simulate import SIMULATIONS_FILE

REPEATS = 500
"""As in the paper's tables."""

METHODS = {name: REGISTRY[name].name for name in ("random", "reinforce", "evolution", "assisted_evolution")}
"""Searches as they are printed, in the order of tables and legends."""


class SimulationRuns(NamedTuple):
    """One file of simulated searches."""

    rows: pd.DataFrame
    dataset: Data
    """Whose validation accuracy the searches saw."""
    budget: int
    """Trainings of a repeat."""
    repeats: int
    seconds: float | None
    """Seconds of training that a repeat may take, where they and not the trainings were given."""

    @property
    def cost(self) -> Literal["trained", "seconds"]:
        """Column of the search cost: seconds where the benchmark's table has them."""
        return "seconds" if self.rows["seconds"].notna().all() else "trained"

    @property
    def spent(self) -> float:
        """Budget of a repeat, in the unit of `cost`; without a limit of seconds, the time of the last improvement."""
        if self.cost == "trained":
            return self.budget
        return self.seconds or float(self.rows["seconds"].max())


def read_simulation_runs(path: Path, space: str) -> SimulationRuns:
    """A `simulations.parquet` of a space."""
    rows, origin = SIMULATIONS_FILE.read(path)
    settings = origin["provenance"]["settings"]
    if settings["space"] != space:
        raise UserError(f"{path}: searches of {settings['space']}; give searches of {space}")
    return SimulationRuns(rows, *(settings[key] for key in ("dataset", "budget", "repeats", "seconds")))


Indices = NDArray[np.int64]
"""Numbers of architectures in the benchmark's files."""


def incumbents(rows: pd.DataFrame, spent: FloatArray, cost: str = "trained") -> Indices:
    """The best architectures so far after spending so much each: [repeats, points] of one method's rows.

    Before a first training has ended it is the one of that training.
    """
    architectures = []
    for _, repeat in rows.groupby("repeat", sort=True):
        # Rows are the improvements of a repeat, in order: the last at or before the cost is the incumbent.
        last = np.searchsorted(repeat[cost].to_numpy(), spent, side="right") - 1
        architectures.append(repeat["architecture"].to_numpy()[last.clip(min=0)])
    return np.array(architectures, dtype=np.int64)


COUNTS = (10, 100, 1000)
"""N, as published."""


class SampledRuns(NamedTuple):
    """Results of 500 repeats of drawing N scored architectures with replacement, as indices of the benchmark.

    Repeats take turns among the draws of weights: those of one draw stand together.
    """

    candidates: int
    """N."""
    chosen: Indices
    """[500]: of the highest score; a failed one only where all N failed."""
    sample: Indices
    """[500, N]: all that were drawn."""
    weights: Indices
    """[500]: which draw of weights was scored, counted from 0."""
    seconds: float
    """Mean time of scoring N architectures."""


def replay(draws: Sequence[ScoreFile]) -> Iterator[SampledRuns]:
    """Replays for every N up to the number of scored architectures, on the draws of one scoring.

    The seeds of the scores determine what is drawn.
    """
    # Repeats alternate between the draws of weights, so that each draw has nearly the same number.
    each = float(np.mean([one.rows["seconds"].mean() for one in draws]))
    weights = np.sort(np.arange(REPEATS) % len(draws))
    for count in (count for count in COUNTS if count <= min(len(one.rows) for one in draws)):
        repeats = [_repeats(one, count, int((weights == draw).sum())) for draw, one in enumerate(draws)]
        chosen, sample = (np.concatenate(parts) for parts in zip(*repeats, strict=True))
        yield SampledRuns(count, chosen, sample, weights, count * each)


def _repeats(scored: ScoreFile, count: int, repeats: int) -> tuple[Indices, Indices]:
    """Choices [repeats] of the repeats on one draw of weights, and their samples [repeats, N]."""
    known, scores = scored.rows["index"].to_numpy(), scored.by_index()
    sample = known[np.random.default_rng((scored.seed, count)).integers(len(known), size=(repeats, count))]
    return sample[np.arange(repeats), scores[sample].argmax(axis=1)], sample


SEARCH_COLUMNS = (
    Column("Method", lambda line: line.method, "l"),
    Column("N", lambda line: _or_dash(line.candidates)),
    Column("n", lambda line: str(REPEATS)),
    Column("Weight draws", lambda line: _or_dash(line.draws)),
    *keyed_columns(ACCURACIES, lambda data, line: mean_and_std(line.summary(data))),
    Column("Scoring (s)", lambda line: NOTHING if line.seconds is None else significant(line.seconds, 3)),
    Column("Source", lambda line: "", "l"),
)
SEARCH_NOTES = [
    "Accuracy after 200 epochs, mean ± sample standard deviation over n repeats (published: as printed there). "
    "Ours draw with replacement from the scored architectures, whose number is given above, N up to that "
    "number, and the accuracy is the mean over the benchmark's seeds.",
    "Weight draws: how often each architecture was scored, with fresh weights and images; repeats take turns among "
    "them. The published search drew new weights and a new training seed in every repeat. The CSV adds the 95 % "
    "t-interval of the mean: over the means of the draws, or, of one draw, over its repeats; the latter does not cover "
    "how other weights would do.",
    "Random: one architecture drawn. Best of the sample: the best accuracy among N drawn, for each data set.",
    "Seconds are those that scoring N architectures took on the machine that scored them.",
]
Truth = dict[Data, FloatArray]


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
        """Number of weight draws."""
        return None if self.weights is None else int(self.weights.max()) + 1

    def summary(self, data: Data) -> Summary:
        """Over repeats; where there are several draws of weights, with the interval over their means."""
        values, draws = self.reached[data], self.draws or 1
        if draws == 1:
            return summarise(values.tolist())
        return summarise_clusters([values[self.weights == draw].tolist() for draw in range(draws)])


def make_search_table(inputs: list[Path]) -> TableResult:
    """The benchmark's table and files of scores → test and, if known, validation accuracies that searches reach."""
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
            sections.append(Section.of(title, lines, SEARCH_COLUMNS))
            rows += [row for line in lines for row in _search_numbers(first, split, line)]
        sections += _search_published(split, sources)
    caption = "Architecture search without training on NAS-Bench-201"
    table = Table("naswot-search", caption, SEARCH_COLUMNS, sections, SEARCH_NOTES, sources)
    return TableResult(table, pd.DataFrame(rows))


def _lines(draws: Sequence[ScoreFile], truth: Truth) -> Iterator[Line]:
    drawn = list(replay(draws))
    if not drawn:
        raise UserError(f"{draws[0].title}: fewer than {COUNTS[0]} architectures; score more architectures")
    for one in drawn:
        reached = {data: truth[data][one.chosen] for data in DATA}
        yield Line("NASWOT", one.candidates, reached, one.seconds, one.weights)
    # The first of each sample is a single architecture drawn at random.
    yield Line("Random", None, {data: truth[data][drawn[0].sample[:, 0]] for data in DATA}, None)
    for one in drawn:
        best = {data: truth[data][one.sample].max(axis=1) for data in DATA}
        yield Line("Best of the sample", one.candidates, best, None)


def _or_dash(count: int | None) -> str:
    return NOTHING if count is None else str(count)


def _search_numbers(scored: ScoreFile, split: str, line: Line) -> Iterator[dict[str, Any]]:
    for data in DATA:
        yield {
            **scored.facts,
            "method": line.method,
            "candidates": line.candidates,
            "draws": line.draws,
            "reached_on": data,
            "split": split,
            "seconds": line.seconds,
            **line.summary(data)._asdict(),
        }


def _search_published(split: str, sources: list[str]) -> list[Section]:
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
    return [Section(f"{title}, {split}", _search_printed(group, sources)) for title, group in groups]


def _search_printed(rows: pd.DataFrame, sources: Sequence[str]) -> list[list[str]]:
    lines = []
    for (method, count), group in rows.groupby(["method", "sample_size_n"], sort=False):
        first, reached = group.iloc[0], _printed_accuracies(group)
        name = str(method).replace("Optimal (best of sample)", "Best of the sample").partition("-v1")[0]
        source = f"[{sources.index(first['source']) + 1}]"
        draws = first["runs"] if name == "NASWOT" else NOTHING
        size, seconds = str(count) or NOTHING, first["search_time_s"] or NOTHING
        lines.append([name, size, first["runs"], draws, *reached, seconds, source])
    return lines


def _printed_accuracies(rows: pd.DataFrame) -> list[str]:
    """Mean and deviation as published, one cell per data set, from the rows of one method."""
    by_data = rows.set_index("dataset")
    return [f"{by_data['value'][label]} ± {by_data['std'][label]}" for label in LABELS.values()]


EVOLUTION_COLUMNS = list_columns(["Search", "n", *ACCURACIES.values(), "Source"], "lrrrrl")
TRAINED = (25, 50, 100, 200)
"""Trainings after which the table looks, as far as the budget goes; the last of the budget is added."""
UNITS = {"trained": "trainings", "seconds": "s"}
PUBLISHED = {
    "RS": "Random search",
    "REINFORCE": "REINFORCE",
    "REA": "Regularised evolution",
    "AREA": "Assisted evolution",
}
EVOLUTION_NOTES = [
    "Accuracy after 200 epochs of the architecture that was best so far, mean ± sample standard deviation over n "
    "repeats. Ours chose by validation accuracy after 12 epochs on CIFAR-10 unless said otherwise.",
    "The published budget is 12,000 seconds of such trainings on the authors' count. A table without times counts "
    "trainings instead, so that no row of ours has exactly that budget. Of assisted evolution three published values "
    "are known, which are taken for those of validation.",
]


def make_evolution_table(inputs: list[Path]) -> TableResult:
    """The benchmark's table and files of simulated searches → test accuracy of their incumbents."""
    paths = after_table("naswot-evolution", inputs, "simulations.parquet")
    truth, rows, sections = read_report_columns(inputs[0]), list[dict[str, Any]](), list[Section]()
    for simulated in (read_simulation_runs(path, "nasbench201") for path in paths):
        reached = list(_reached(simulated, truth))
        rows += reached
        sections += _sections(simulated, reached)
    theirs, sources = _evolution_published()
    caption = "Simulated searches on NAS-Bench-201"
    table = Table("naswot-evolution", caption, EVOLUTION_COLUMNS, [*sections, *theirs], EVOLUTION_NOTES, sources)
    return TableResult(table, pd.DataFrame(rows))


def _reached(simulated: SimulationRuns, truth: ReportColumns) -> Iterator[dict[str, Any]]:
    limited = simulated.seconds is not None
    # A budget in seconds is read at its end only; a budget in trainings at the published ones as well.
    earlier = set() if limited else {float(count) for count in TRAINED if count < simulated.budget}
    points = np.array(sorted(earlier | {simulated.spent if limited else float(simulated.budget)}))
    cost = "seconds" if limited else "trained"
    for method in (name for name in METHODS if name in set(simulated.rows["method"])):
        best = incumbents(simulated.rows[simulated.rows["method"] == method], points, cost)
        for i, spent in enumerate(points):
            for data in DATA:
                reached = summarise(truth.test[data][best[:, i]].tolist())
                common = {"searched_on": simulated.dataset, "method": method, "spent": spent, "unit": cost}
                yield {**common, "test_of": data, **reached._asdict()}


def _sections(simulated: SimulationRuns, rows: list[dict[str, Any]]) -> Iterator[Section]:
    for spent, unit in dict.fromkeys((row["spent"], row["unit"]) for row in rows):
        here = [row for row in rows if row["spent"] == spent]
        lines = []
        for method in dict.fromkeys(row["method"] for row in here):
            reached = [Summary(*(row[key] for key in Summary._fields)) for row in here if row["method"] == method]
            lines.append([METHODS[method], str(simulated.repeats), *map(mean_and_std, reached), ""])
        yield Section(f"This run, search on {LABELS[simulated.dataset]}, {spent:,.0f} {UNITS[unit]}, test", lines)


def _evolution_published() -> tuple[list[Section], list[str]]:
    rows = naswot_rows("NAS-Bench-201", metric="accuracy_pct", paper_version=ICML)
    rows = rows[rows["method"].isin(PUBLISHED)]
    sources = list(dict.fromkeys(rows["source"]))
    sections = []
    for split, group in rows.groupby("split"):
        lines = []
        for method in (method for method in PUBLISHED if method in set(group["method"])):
            rows_of_method = group[group["method"] == method]
            first, reached = rows_of_method.iloc[0], _printed_accuracies(rows_of_method)
            source = f"[{sources.index(first['source']) + 1}]"
            lines.append([PUBLISHED[method], first["runs"] or NOTHING, *reached, source])
        sections.append(Section(f"Published, 12,000 s, {split}", lines))
    return sections, sources
