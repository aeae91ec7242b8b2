"""Table: the sample efficiency gain of every pool for every quality."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from parsec.predictor import random_search
from parsec.predictor.gain import Gain, Quality, gain, random_expected
from parsec.report.predictor.claims import sentences
from parsec.report.predictor.inputs import RANDOM, Study, bracketed, read_studies
from parsec.report.render import Section, Table
from parsec.report.tabulated import Tabulated
from parsec.report.text import NOTHING

HEADINGS = ["Pool", "Reached (% of repeats)", "Median number", "Gain", "Gain within the budget"]
NOTES = (
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


def tabulate(inputs: Sequence[Path]) -> Tabulated:
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
    notes = NOTES if all(study.tabular for study in studies) else (*NOTES, SAMPLED)
    verdicts = [sentence for study in studies for sentence in sentences(study)]
    table = Table(
        "predictor",
        "Sample efficiency of predictor-based search over random search",
        HEADINGS,
        sections,
        [*budgets, *notes, *verdicts],
        [],
        alignment="l" + "r" * (len(HEADINGS) - 1),
    )
    return Tabulated(table, pd.DataFrame(row for study in studies for row in _numbers(study)))


def _gain(study: Study, pool: str, quality: Quality) -> Gain:
    return gain(study.times(pool, quality), quality, len(study.accuracies), study.job.budget, not study.tabular)


def _section(study: Study, quality: Quality) -> Section:
    title = f"{study.title}, {quality.name}: {quality.good} of {len(study.accuracies)} architectures"
    rows = [[pool, *_cells(_gain(study, pool, quality))] for pool in study.architectures]
    return Section(title, [*rows, _random(study, quality)])


def _cells(found: Gain) -> list[str]:
    median = NOTHING if found.median is None else f"{found.median:g}"
    value = ("≤ " if found.bounded else "") + bracketed(found.gain, 1)
    return [f"{100 * found.reached.value:.0f}", median, value, bracketed(found.within, 2)]


def _random(study: Study, quality: Quality) -> list[str]:
    missed = random_search.missed(len(study.accuracies), quality.good, study.job.budget)
    middle = int((missed > 0.5).sum())
    name = RANDOM if study.tabular else "random search, in the sample"
    return [name, f"{100 * (1 - missed[-1]):.1f}", f"{middle}" if missed[-1] <= 0.5 else NOTHING, "1", "1"]


def _numbers(study: Study) -> Iterator[dict[str, Any]]:
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
