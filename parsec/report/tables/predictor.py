"""Tables on predictor-based search: sample efficiency, claims, selected architectures."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from parsec.config.predictor import AnyPredictorJob, Pool, PredictorJob
from parsec.errors import UserError
from parsec.predictor.files import read_run
from parsec.predictor.search import content_hash, read_reached
from parsec.report import sample_efficiency
from parsec.report.sample_efficiency import (
    SHARES,
    Gain,
    Interval,
    Quality,
    gain,
    interval,
    needed,
    qualities,
    random_expected,
    saved,
)
from parsec.report.tables.base import NOTHING, Section, Table, Tabulated
from parsec.tabular import nasbench101, nasbench201

FloatArray = NDArray[np.float64]
RANDOM = "random search, exact"


class Study(NamedTuple):
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
    def qualities(self) -> list[Quality]:
        """What the searches have to find; the best of a sample is no quality of a space."""
        return qualities(self.accuracies)[: None if self.tabular else len(SHARES)]

    def trained(self, pool: str) -> FloatArray:
        """Validation accuracies, or scores, in the order of training [R, B]."""
        return self.reached[pool]

    def times(self, pool: str, quality: Quality) -> FloatArray:
        """Trained architectures until the quality [R]; infinite where the budget did not do."""
        return needed(self.trained(pool), quality)


def read_studies(inputs: Sequence[Path]) -> list[Study]:
    """Studies from pairs: a run's folder, then the benchmark's file.

    Raises:
        UserError: an odd number of inputs, a damaged file, or another benchmark than the one searched.
    """
    if len(inputs) % 2:
        raise UserError("predictor: give the folder of each run followed by the file of the benchmark it searched")
    return [_study(folder, benchmark) for folder, benchmark in zip(inputs[::2], inputs[1::2], strict=True)]


def _study(folder: Path, benchmark: Path) -> Study:
    job, rows, seen = read_run(folder)
    accuracies = read_reached(job, benchmark)
    if content_hash(accuracies) != seen:
        raise UserError(f"{benchmark}: not what {folder} searched; give that file")
    groups = dict(list(rows.sort_values(["repeat", "order"]).groupby("pool")))
    named, reached = (
        {pool.name: groups[pool.name][column].to_numpy().reshape(job.repeats, job.budget) for pool in job.pools}
        for column in ("architecture", "accuracy")
    )
    return Study(job, benchmark, named, reached, accuracies)


def bracketed(found: Interval, digits: int) -> str:
    """`3.1 [2.9, 3.3]`."""
    value, low, high = (f"{number:z.{digits}f}".replace("-", "−") for number in found)
    return f"{value} [{low}, {high}]"


HOLDS, IN_PART, UNDECIDED, OPPOSITE = (
    "holds", "holds in part", "no significant difference", "does not hold: the opposite does",
)  # fmt: skip


class Verdict(NamedTuple):
    """One claim for one quality; differences are trained architectures, mean over repeats."""

    claim: str
    quality: str
    differences: tuple[tuple[str, Interval], ...]
    """What is subtracted from what, and the difference."""
    verdict: str


CLAIMS_NOTE = (
    "Compared are numbers of trained architectures until a quality, capped at the budget, in pairs of repeats "
    "that began with the same architectures. A claim holds if the 95 % bootstrap interval of the mean difference "
    "excludes zero on its side. The intervals are not adjusted for the number of qualities and pools. Where a "
    "sample stands for the space, those of differences to random search carry the uncertainty of the share of the "
    "space that has the quality."
)


def make_claims_table(inputs: Sequence[Path]) -> Tabulated:
    """Pairs of a run's folder and its benchmark → a row for every claim and quality.

    Raises:
        UserError: see `read_studies`.
    """
    found = [(study, list(verdicts(study))) for study in read_studies(inputs)]
    sections = [
        Section(
            f"{study.title}, {quality.name}", [_claims_cells(each) for each in rows if each.quality == quality.name]
        )
        for study, rows in found
        for quality in study.qualities
    ]
    headings = ["Claim", "Trained architectures saved or lost, 95 % interval", "Verdict"]
    caption = "The claims of Mauch et al. on the number of architectures that are trained until a quality is found"
    notes = [CLAIMS_NOTE]
    table = Table("predictor-claims", caption, headings, sections, notes, [])
    return Tabulated(
        table, pd.DataFrame(row for study, rows in found for each in rows for row in _claims_numbers(study, each))
    )


def verdicts(study: Study) -> Iterator[Verdict]:
    """All claims that the pools of a study can answer, for every quality."""
    for quality in study.qualities:
        if "all" in study.architectures:
            yield _over_random(study, quality, "all", "scoring the whole space")
        for pool in study.job.pools:
            if pool.kind == "uniform" and "all" in study.architectures:
                yield _drop(study, quality, pool.name)
            elif pool.kind == "uniform":
                yield _over_random(study, quality, pool.name, f"scoring the uniform subset {pool.name}")
            elif pool.kind != "all":
                yield from _recovery(study, quality, pool)


def sentences(study: Study) -> list[str]:
    """The verdicts in words, one sentence a claim and quality."""
    return [
        f"{study.title}, {each.quality}: {each.claim}: {each.verdict} ({_differences(each)})."
        for each in verdicts(study)
    ]


def _over_random(study: Study, quality: Quality, pool: str, scoring: str) -> Verdict:
    size, budget, sampled = len(study.accuracies), study.job.budget, not study.tabular
    fewer = saved(study.times(pool, quality), quality, size, budget, sampled)
    claim = f"{scoring} trains fewer than random search"
    return Verdict(claim, quality.name, ((f"random − {pool}", fewer),), _one_sided(fewer))


def _drop(study: Study, quality: Quality, uniform: str) -> Verdict:
    lost = interval(_within(study, uniform, quality) - _within(study, "all", quality))
    claim = f"the uniform subset {uniform} trains more than the whole space"
    return Verdict(claim, quality.name, ((f"{uniform} − all", lost),), _one_sided(lost))


def _recovery(study: Study, quality: Quality, smart: Pool) -> Iterator[Verdict]:
    """Against the uniform subset of the same size; recovered in full where the whole space is not clearly better.

    Where the whole space cannot be scored, only whether there is anything to recover.
    """
    uniform = f"uniform-{smart.size}"
    if uniform not in study.architectures:
        return
    ours = _within(study, smart.name, quality)
    fewer = interval(_within(study, uniform, quality) - ours)
    if "all" not in study.architectures:
        claim = f"the subset {smart.name} trains fewer than {uniform}"
        yield Verdict(claim, quality.name, ((f"{uniform} − {smart.name}", fewer),), _one_sided(fewer))
        return
    left = interval(ours - _within(study, "all", quality))
    verdict = IN_PART if fewer.low > 0 and left.low > 0 else _one_sided(fewer)
    differences = ((f"{uniform} − {smart.name}", fewer), (f"{smart.name} − all", left))
    yield Verdict(f"the subset {smart.name} recovers what {uniform} loses", quality.name, differences, verdict)


def _one_sided(difference: Interval) -> str:
    return HOLDS if difference.low > 0 else OPPOSITE if difference.high < 0 else UNDECIDED


def _within(study: Study, pool: str, quality: Quality) -> FloatArray:
    return np.minimum(study.times(pool, quality), study.job.budget)


def _differences(found: Verdict) -> str:
    return "; ".join(f"{name}: {bracketed(difference, 1)}" for name, difference in found.differences)


def _claims_cells(found: Verdict) -> list[str]:
    return [found.claim, _differences(found), found.verdict]


def _claims_numbers(study: Study, found: Verdict) -> Iterator[dict[str, object]]:
    for name, difference in found.differences:
        common = {"problem": study.job.problem, "data": study.job.target, "quality": found.quality}
        yield {**common, "claim": found.claim, "verdict": found.verdict, "difference": name, **difference._asdict()}


BEST = "best of the space by validation"
DATA = ("cifar10", "cifar100", "in16")


def make_selected_table(inputs: Sequence[Path]) -> Tabulated:
    """Pairs of a run's folder and its benchmark → accuracies in percent of the chosen architectures.

    Raises:
        UserError: see `read_studies`.
    """
    found = [(study, dict(_rows(study))) for study in read_studies(inputs) if study.tabular]
    if not found:
        raise UserError("predictor-chosen: no run on a table was given; the architectures of darts have no accuracy")
    names = [name for name in DATA if any(name in row for _, rows in found for row in rows.values())]
    columns = ["validation", *names]
    sections = [
        Section(study.title, [[pool, *(_cell(row, name) for name in columns)] for pool, row in rows.items()])
        for study, rows in found
    ]
    headings = ["Pool", "Validation (%)", *(f"{name} test (%)" for name in names)]
    notes = [
        "Mean over repeats and its 95 % bootstrap interval. The searches see validation accuracy alone.",
        "Without a test accuracy: the table of the benchmark has none.",
    ][: 1 + any(not _tests(study) for study, _ in found)]
    caption = "Accuracy of the architecture chosen by predictor-based search"
    table = Table("predictor-chosen", caption, headings, sections, notes, [], "l" + "r" * (len(headings) - 1))
    return Tabulated(table, pd.DataFrame(line for study, rows in found for line in _selected_numbers(study, rows)))


Row = Mapping[str, Interval]


def _rows(study: Study) -> Iterator[tuple[str, Row]]:
    columns = {"validation": study.accuracies, **_tests(study)}
    for pool, found in study.architectures.items():
        best = np.take_along_axis(found, study.trained(pool).argmax(1)[:, None], axis=1)[:, 0]
        yield pool, {name: interval(values[best]) for name, values in columns.items()}
    order = np.argsort(-study.accuracies, kind="stable")
    shares = sample_efficiency.chosen(len(order), study.job.budget)
    yield RANDOM, {name: _known(float(shares @ values[order])) for name, values in columns.items()}
    yield BEST, {name: _known(float(values[order[0]])) for name, values in columns.items()}


def _tests(study: Study) -> dict[str, FloatArray]:
    if study.job.problem == "nasbench101":
        tests = nasbench101.read_report_columns(study.benchmark)
        return {} if tests is None else {"cifar10": tests}
    return {str(name): values for name, values in nasbench201.read_report_columns(study.benchmark).test.items()}


def _known(value: float) -> Interval:
    """A number that was not estimated."""
    return Interval(value, value, value)


def _cell(row: Row, name: str) -> str:
    found = row.get(name)
    if found is None:
        return ""
    return f"{found.value:.2f}" if found.low == found.high else bracketed(found, 2)


def _selected_numbers(study: Study, rows: Mapping[str, Row]) -> Iterator[dict[str, object]]:
    for pool, row in rows.items():
        for name, found in row.items():
            yield {
                "problem": study.job.problem,
                "data": study.job.target,
                "pool": pool,
                "accuracy": name,
                **found._asdict(),
            }


GAIN_HEADINGS = ["Pool", "Reached (% of repeats)", "Median number", "Gain", "Gain within the budget"]
GAIN_NOTES = (
    "Gain: expected number of architectures that random search without replacement trains, (N + 1)/(M + 1), by the "
    "mean number that the search trains until it has one of the M best of N by validation accuracy. In brackets: "
    "95 % bootstrap intervals over repeats, not adjusted for the number of pools and qualities.",
    "≤: some repeats miss the quality within the budget and need an unknown number more; counted as the budget, they "
    "bound the gain from above, and the interval is that of the bound. Gain within the "
    "budget: both numbers capped at the budget, which is exact for both.",
    "Median number: trained architectures, the random start included.",
)

SAMPLED = (
    "darts: the space is too large to be known; N architectures drawn at random stand for it, by the score that the "
    "searches see in the place of accuracy. The share p of the space that is as good as the M best of them is known "
    "only as Beta(M, N − M + 1); random search trains 1/p on average, printed for the mean p = M/(N + 1), and the "
    "intervals of gains carry the uncertainty of p. It is one factor of all gains for a quality: ratios between pools "
    "are free of it."
)


def make_gain_table(inputs: Sequence[Path]) -> Tabulated:
    """Pairs of a run's folder and its benchmark → gains, and the verdicts on the paper's claims as notes.

    Raises:
        UserError: see `read_studies`.
    """
    studies = read_studies(inputs)
    sections = [_section(study, quality) for study in studies for quality in study.qualities]
    budgets = [
        f"{study.title}: {study.job.repeats} repeats with each pool, {study.job.budget} trained architectures each, "
        f"{study.job.start} of them at random."
        for study in studies
    ]
    notes = GAIN_NOTES if all(study.tabular for study in studies) else (*GAIN_NOTES, SAMPLED)
    verdicts = [sentence for study in studies for sentence in sentences(study)]
    table = Table(
        "predictor",
        "Sample efficiency of predictor-based search over random search",
        GAIN_HEADINGS,
        sections,
        [*budgets, *notes, *verdicts],
        [],
        alignment="l" + "r" * (len(GAIN_HEADINGS) - 1),
    )
    return Tabulated(table, pd.DataFrame(row for study in studies for row in _gain_numbers(study)))


def _gain(study: Study, pool: str, quality: Quality) -> Gain:
    return gain(study.times(pool, quality), quality, len(study.accuracies), study.job.budget, not study.tabular)


def _section(study: Study, quality: Quality) -> Section:
    title = f"{study.title}, {quality.name}: {quality.good} of {len(study.accuracies)} architectures"
    rows = [[pool, *_gain_cells(_gain(study, pool, quality))] for pool in study.architectures]
    return Section(title, [*rows, _random(study, quality)])


def _gain_cells(found: Gain) -> list[str]:
    median = NOTHING if found.median is None else f"{found.median:g}"
    value = ("≤ " if found.bounded else "") + bracketed(found.gain, 1)
    return [f"{100 * found.reached.value:.0f}", median, value, bracketed(found.within, 2)]


def _random(study: Study, quality: Quality) -> list[str]:
    missed = sample_efficiency.missed(len(study.accuracies), quality.good, study.job.budget)
    middle = int((missed > 0.5).sum())
    name = RANDOM if study.tabular else "random search, in the sample"
    return [name, f"{100 * (1 - missed[-1]):.1f}", f"{middle}" if missed[-1] <= 0.5 else NOTHING, "1", "1"]


def _gain_numbers(study: Study) -> Iterator[dict[str, Any]]:
    size, budget = len(study.accuracies), study.job.budget
    for quality in study.qualities:
        common: dict[str, Any] = {"problem": study.job.problem, "data": study.job.target, "quality": quality.name}
        common |= {"good": quality.good, "architectures": size, "budget": budget, "repeats": study.job.repeats}
        random = random_expected(quality, size, budget, not study.tabular)
        common |= {"random_needed": random.needed.value, "random_needed_within": random.within.value}
        for pool in study.architectures:
            found = _gain(study, pool, quality)
            row = common | {"pool": pool, "median_needed": found.median, "gain_is_upper_bound": found.bounded}
            for name in ("reached", "gain", "within"):
                row |= {f"{name}_{end}": number for end, number in getattr(found, name)._asdict().items()}
            yield row
