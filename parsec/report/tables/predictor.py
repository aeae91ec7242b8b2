"""Tables on predictor-based search: sample efficiency, claims, selected architectures."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from parsec.config.tabular import AnyPredictorJob, Pool, PredictorJob
from parsec.errors import UserError
from parsec.predictor.search import content_hash, read_reached, read_run
from parsec.report import sample_efficiency
from parsec.report.sample_efficiency import (
    SHARES,
    Interval,
    Target,
    gain,
    interval,
    needed,
    random_expected,
    saved,
    targets,
)
from parsec.report.tables.base import NOTHING, Column, Section, Table, TableResult, keyed_columns, text_column
from parsec.tabular import nasbench101, nasbench201
from parsec.tabular.nasbench201 import DATA
from parsec.tabular.problem import FloatArray

RANDOM = "random search, exact"


class PredictorRun(NamedTuple):
    """One run: what its searches trained, and the space that they searched."""

    job: AnyPredictorJob
    benchmark: Path
    architectures: Mapping[str, NDArray[Any]]
    """Pool → the trained architectures in order [R, B], as `trained.parquet` names them."""
    reached: Mapping[str, FloatArray]
    """Pool → what they reached, in the same order."""
    accuracies: FloatArray
    """Validation accuracy of the whole space in percent [N]; of darts the scores of a uniform sample."""

    @property
    def tabular(self) -> bool:
        """Whether there is a table of the whole space."""
        return isinstance(self.job, PredictorJob)

    @property
    def title(self) -> str:
        """Benchmark and data set, or space and score, as a heading."""
        return f"{self.job.problem}, {'' if self.tabular else 'score '}{self.job.target}"

    @property
    def targets(self) -> list[Target]:
        """Targets of the searches; the best of a sample is not a target of the space."""
        return targets(self.accuracies)[: None if self.tabular else len(SHARES)]

    def times(self, pool: str, target: Target) -> FloatArray:
        """Trained architectures until the target [R]; infinite where the budget was too small."""
        return needed(self.reached[pool], target)

    def within(self, pool: str, target: Target) -> FloatArray:
        """The same, capped at the budget [R]."""
        return np.minimum(self.times(pool, target), self.job.budget)


def read_predictor_runs(inputs: Sequence[Path]) -> list[PredictorRun]:
    """Runs from pairs: a run's folder, then the benchmark's file.

    Raises:
        UserError: an odd number of inputs, a damaged file, or another benchmark than the one searched.
    """
    if len(inputs) % 2:
        raise UserError("predictor: give the folder of each run followed by the file of the benchmark it searched")
    return [_read_predictor_run(folder, benchmark) for folder, benchmark in zip(inputs[::2], inputs[1::2], strict=True)]


def _read_predictor_run(folder: Path, benchmark: Path) -> PredictorRun:
    job, rows, accuracies_hash = read_run(folder)
    accuracies = read_reached(job, benchmark)
    if content_hash(accuracies) != accuracies_hash:
        raise UserError(f"{benchmark}: not what {folder} searched; give that file")
    groups = dict(list(rows.sort_values(["repeat", "order"]).groupby("pool")))
    architectures, reached = (
        {pool.name: groups[pool.name][column].to_numpy().reshape(job.repeats, job.budget) for pool in job.pools}
        for column in ("architecture", "accuracy")
    )
    return PredictorRun(job, benchmark, architectures, reached, accuracies)


def bracketed(estimate: Interval, digits: int) -> str:
    """`3.1 [2.9, 3.3]`."""
    value, low, high = (f"{number:z.{digits}f}".replace("-", "−") for number in estimate)
    return f"{value} [{low}, {high}]"


HOLDS, IN_PART, UNDECIDED, OPPOSITE = (
    "holds", "holds in part", "no significant difference", "does not hold: the opposite does",
)  # fmt: skip


class Verdict(NamedTuple):
    """One claim for one target; differences are trained architectures, mean over repeats."""

    claim: str
    target: str
    differences: tuple[tuple[str, Interval], ...]
    """Names of the differences, and their intervals."""
    verdict: str
    repeats: int


CLAIMS_COLUMNS = (
    Column("Claim", lambda row: row.claim, "l"),
    Column("n", lambda row: str(row.repeats)),
    Column("Trained architectures saved or lost, 95 % interval", lambda row: _differences(row), "l"),
    Column("Verdict", lambda row: row.verdict, "l"),
)
CLAIMS_NOTE = (
    "Numbers of trained architectures until a target is found, capped at the budget, are compared in n pairs of "
    "repeats that began with the same architectures. A claim holds if the 95 % bootstrap interval of the mean "
    "difference excludes zero on its side. The intervals are not adjusted for the number of targets and pools. Where a "
    "sample stands for the space, those of differences to random search carry the uncertainty of the share of the "
    "space that has the target."
)


def make_claims_table(inputs: Sequence[Path]) -> TableResult:
    """Pairs of a run's folder and its benchmark → one row per claim and target."""
    answers = [(run, list(verdicts(run))) for run in read_predictor_runs(inputs)]
    sections = [
        Section.of(
            f"{run.title}, {target.name}",
            (verdict for verdict in rows if verdict.target == target.name),
            CLAIMS_COLUMNS,
        )
        for run, rows in answers
        for target in run.targets
    ]
    caption = "The claims of Mauch et al. on the number of architectures that are trained until a target is found"
    numbers = (row for run, rows in answers for each in rows for row in _claims_numbers(run, each))
    return TableResult(
        Table("predictor-claims", caption, CLAIMS_COLUMNS, sections, [CLAIMS_NOTE]), pd.DataFrame(numbers)
    )


def verdicts(run: PredictorRun) -> Iterator[Verdict]:
    """All claims that the pools of a run can answer, for every target."""
    for target in run.targets:
        if "all" in run.architectures:
            yield _over_random(run, target, "all", "scoring the whole space")
        for pool in run.job.pools:
            if pool.kind == "uniform" and "all" in run.architectures:
                yield _drop(run, target, pool.name)
            elif pool.kind == "uniform":
                yield _over_random(run, target, pool.name, f"scoring the uniform subset {pool.name}")
            elif pool.kind != "all":
                yield from _recovery(run, target, pool)


def sentences(run: PredictorRun) -> list[str]:
    """The verdicts in words, one sentence per claim and target."""
    return [
        f"{run.title}, {each.target}: {each.claim}: {each.verdict} ({_differences(each)})." for each in verdicts(run)
    ]


def _over_random(run: PredictorRun, target: Target, pool: str, scoring: str) -> Verdict:
    size, budget, sampled = len(run.accuracies), run.job.budget, not run.tabular
    fewer = saved(run.times(pool, target), target, size, budget, sampled)
    claim = f"{scoring} trains fewer than random search"
    return _one_sided(run, target, claim, f"random − {pool}", fewer)


def _drop(run: PredictorRun, target: Target, uniform: str) -> Verdict:
    lost = interval(run.within(uniform, target) - run.within("all", target))
    claim = f"the uniform subset {uniform} trains more than the whole space"
    return _one_sided(run, target, claim, f"{uniform} − all", lost)


def _recovery(run: PredictorRun, target: Target, smart: Pool) -> Iterator[Verdict]:
    """Against the uniform subset of the same size; recovered in full where the whole space is not clearly better.

    Where the whole space cannot be scored, only whether there is anything to recover.
    """
    uniform = f"uniform-{smart.size}"
    if uniform not in run.architectures:
        return
    ours = run.within(smart.name, target)
    fewer = interval(run.within(uniform, target) - ours)
    better = f"the subset {smart.name} trains fewer than {uniform}"
    verdict = _one_sided(run, target, better, f"{uniform} − {smart.name}", fewer)
    if "all" in run.architectures:
        # Recovered in part: better than the uniform subset, and still worse than the whole space.
        left = interval(ours - run.within("all", target))
        verdict = verdict._replace(
            claim=f"the subset {smart.name} recovers what {uniform} loses",
            differences=(*verdict.differences, (f"{smart.name} − all", left)),
            verdict=IN_PART if fewer.low > 0 and left.low > 0 else verdict.verdict,
        )
    yield verdict


def _one_sided(run: PredictorRun, target: Target, claim: str, name: str, difference: Interval) -> Verdict:
    """The verdict on the claim that a difference is above zero."""
    verdict = HOLDS if difference.low > 0 else OPPOSITE if difference.high < 0 else UNDECIDED
    return Verdict(claim, target.name, ((name, difference),), verdict, run.job.repeats)


def _differences(verdict: Verdict) -> str:
    return "; ".join(f"{name}: {bracketed(difference, 1)}" for name, difference in verdict.differences)


def _claims_numbers(run: PredictorRun, verdict: Verdict) -> Iterator[dict[str, object]]:
    for name, difference in verdict.differences:
        common = {"problem": run.job.problem, "data": run.job.target, "quality": verdict.target}
        yield {**common, "claim": verdict.claim, "verdict": verdict.verdict, "difference": name, **difference._asdict()}


BEST = "best of the space by validation"


def make_selected_table(inputs: Sequence[Path]) -> TableResult:
    """Pairs of a run's folder and its benchmark → accuracies in percent of the chosen architectures."""
    selections = [(run, dict(_rows(run))) for run in read_predictor_runs(inputs) if run.tabular]
    if not selections:
        raise UserError("predictor-chosen: no run on a table was given; the architectures of darts have no accuracy")
    names = [name for name in DATA if any(name in row for _, rows in selections for row in rows.values())]
    headings = {"validation": "Validation (%)"} | {name: f"{name} test (%)" for name in names}
    accuracies = keyed_columns(headings, lambda name, item: _cell(item[1], name))
    sections, columns = list[Section](), list[Column]()
    for run, rows in selections:
        columns = [Column("Pool", lambda item: str(item[0]), "l"), _repeats_column(run), *accuracies]
        sections.append(Section.of(run.title, rows.items(), columns))
    notes = [
        "Mean over n repeats and its 95 % bootstrap interval; rows without n are exact. The searches see validation "
        "accuracy only.",
        "Without a test accuracy: the table of the benchmark has none.",
    ][: 1 + any(not _tests(run) for run, _ in selections)]
    caption = "Accuracy of the architecture chosen by predictor-based search"
    numbers = (
        {"problem": run.job.problem, "data": run.job.target, "pool": pool, "accuracy": name, **accuracy._asdict()}
        for run, rows in selections
        for pool, row in rows.items()
        for name, accuracy in row.items()
    )
    return TableResult(Table("predictor-chosen", caption, columns, sections, notes), pd.DataFrame(numbers))


Row = Mapping[str, Interval]


def _repeats_column(run: PredictorRun) -> Column:
    """Repeats behind the mean of a pool; none where a row is exact."""
    return Column("n", lambda item: str(run.job.repeats) if item[0] in run.architectures else NOTHING)


def _rows(run: PredictorRun) -> Iterator[tuple[str, Row]]:
    columns = {"validation": run.accuracies, **_tests(run)}
    for pool, architectures in run.architectures.items():
        # Each repeat selects the trained architecture with the best validation accuracy.
        best = np.take_along_axis(architectures, run.reached[pool].argmax(1)[:, None], axis=1)[:, 0]
        yield pool, {name: interval(values[best]) for name, values in columns.items()}
    # Random search is exact: the probability that it selects rank 1, 2, … of the space.
    order = np.argsort(-run.accuracies, kind="stable")
    shares = sample_efficiency.chosen(len(order), run.job.budget)
    yield RANDOM, {name: _known(float(shares @ values[order])) for name, values in columns.items()}
    yield BEST, {name: _known(float(values[order[0]])) for name, values in columns.items()}


def _tests(run: PredictorRun) -> dict[str, FloatArray]:
    if run.job.problem == "nasbench101":
        tests = nasbench101.read_report_columns(run.benchmark)
        return {} if tests is None else {"cifar10": tests}
    return {str(name): values for name, values in nasbench201.read_report_columns(run.benchmark).test.items()}


def _known(value: float) -> Interval:
    """A number that was not estimated."""
    return Interval(value, value, value)


def _cell(row: Row, name: str) -> str:
    accuracy = row.get(name)
    if accuracy is None:
        return ""
    return f"{accuracy.value:.2f}" if accuracy.low == accuracy.high else bracketed(accuracy, 2)


GAIN_COLUMNS = (
    text_column("Pool", "pool", "l"),
    text_column("n", "repeats"),
    Column("Reached (% of repeats)", lambda row: f"{100 * row['reached_value']:.0f}"),
    Column("Median number", lambda row: NOTHING if row["median_needed"] is None else f"{row['median_needed']:g}"),
    Column("Gain", lambda row: ("≤ " if row["gain_is_upper_bound"] else "") + bracketed(_estimate(row, "gain"), 1)),
    Column("Gain within the budget", lambda row: bracketed(_estimate(row, "within"), 2)),
)
GAIN_NOTES = (
    "Gain: expected number of architectures that random search without replacement trains, (N + 1)/(M + 1), by the "
    "mean number that the search trains until it has one of the M best of N by validation accuracy. In brackets: "
    "95 % bootstrap intervals over repeats, not adjusted for the number of pools and targets.",
    "≤: some repeats miss the target within the budget and need an unknown number more; counted as the budget, they "
    "bound the gain from above, and the interval is that of the bound. Gain within the "
    "budget: both numbers capped at the budget, which is exact for both.",
    "Median number: trained architectures, the random start included.",
)

SAMPLED = (
    "darts: the space is too large to be known; N architectures drawn at random stand for it, by the score that the "
    "searches see in the place of accuracy. The share p of the space that is as good as the M best of them is known "
    "only as Beta(M, N − M + 1); random search trains 1/p on average, printed for the mean p = M/(N + 1), and the "
    "intervals of gains carry the uncertainty of p. It is one factor of all gains for a target: ratios between pools "
    "are free of it."
)


def make_gain_table(inputs: Sequence[Path]) -> TableResult:
    """Pairs of a run's folder and its benchmark → gains, and the verdicts on the paper's claims as notes."""
    runs = read_predictor_runs(inputs)
    sections, numbers = [], list[dict[str, Any]]()
    for run in runs:
        for target in run.targets:
            rows = list(_gain_numbers(run, target))
            numbers += rows
            title = f"{run.title}, {target.name}: {target.good} of {len(run.accuracies)} architectures"
            section = Section.of(title, rows, GAIN_COLUMNS)
            section.rows.append(_random_cells(run, target))
            sections.append(section)
    budgets = [
        f"{run.title}: n = {run.job.repeats} repeats with each pool, {run.job.budget} trained architectures "
        f"each, {run.job.start} of them at random."
        for run in runs
    ]
    notes = GAIN_NOTES if all(run.tabular for run in runs) else (*GAIN_NOTES, SAMPLED)
    verdicts = [sentence for run in runs for sentence in sentences(run)]
    caption = "Sample efficiency of predictor-based search over random search"
    table = Table("predictor", caption, GAIN_COLUMNS, sections, [*budgets, *notes, *verdicts])
    return TableResult(table, pd.DataFrame(numbers))


def _estimate(row: dict[str, Any], name: str) -> Interval:
    return Interval(*(row[f"{name}_{end}"] for end in Interval._fields))


def _random_cells(run: PredictorRun, target: Target) -> list[str]:
    """The row of random search itself, from the exact distribution of the number that it trains."""
    missed = sample_efficiency.missed(len(run.accuracies), target.good, run.job.budget)
    middle = int((missed > 0.5).sum())
    name = RANDOM if run.tabular else "random search, in the sample"
    return [name, NOTHING, f"{100 * (1 - missed[-1]):.1f}", f"{middle}" if missed[-1] <= 0.5 else NOTHING, "1", "1"]


def _gain_numbers(run: PredictorRun, target: Target) -> Iterator[dict[str, Any]]:
    size, budget, sampled = len(run.accuracies), run.job.budget, not run.tabular
    common: dict[str, Any] = {"problem": run.job.problem, "data": run.job.target, "quality": target.name}
    common |= {"good": target.good, "architectures": size, "budget": budget, "repeats": run.job.repeats}
    random_needed, random_within = random_expected(target, size, budget, sampled)
    common |= {"random_needed": random_needed.value, "random_needed_within": random_within.value}
    for pool in run.architectures:
        result = gain(run.times(pool, target), target, size, budget, sampled)
        row = common | {"pool": pool, "median_needed": result.median, "gain_is_upper_bound": result.bounded}
        for name in ("reached", "gain", "within"):
            row |= {f"{name}_{end}": number for end, number in getattr(result, name)._asdict().items()}
        yield row
