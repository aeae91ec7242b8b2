"""Table: what the abstract of Mauch et al. (arXiv 2011.12043) claims, and what repeats of our searches say to it.

Compared are numbers of trained architectures until a quality, capped at the budget, in pairs of repeats that began
with the same architectures. A claim holds if the 95 % bootstrap interval of the mean difference excludes zero on its
side. The intervals are not adjusted for the number of qualities and pools. Where a sample stands for the space, those
of differences to random search carry the uncertainty of the share of the space that has the quality.
"""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd

from parsec.predictor.gain import Interval, Quality, interval, saved
from parsec.report.predictor.inputs import Reals, Study, bracketed, read_studies
from parsec.report.render import Section, Table
from parsec.report.tabulated import Tabulated
from parsec.settings.predictor import Pool

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


def tabulate(inputs: Sequence[Path]) -> Tabulated:
    """Pairs of a run's folder and its benchmark → a row for every claim and quality.

    Raises:
        UserError: see `read_studies`.
    """
    found = [(study, list(verdicts(study))) for study in read_studies(inputs)]
    sections = [
        Section(f"{study.title}, {quality.name}", [_cells(each) for each in rows if each.quality == quality.name])
        for study, rows in found
        for quality in study.qualities
    ]
    headings = ["Claim", "Trained architectures saved or lost, 95 % interval", "Verdict"]
    caption = "The claims of Mauch et al. on the number of architectures that are trained until a quality is found"
    notes = [" ".join(__doc__.split("\n\n")[1].split())]
    table = Table("predictor-claims", caption, headings, sections, notes, [])
    return Tabulated(
        table, pd.DataFrame(row for study, rows in found for each in rows for row in _numbers(study, each))
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


def _within(study: Study, pool: str, quality: Quality) -> Reals:
    return np.minimum(study.times(pool, quality), study.job.budget)


def _differences(found: Verdict) -> str:
    return "; ".join(f"{name}: {bracketed(difference, 1)}" for name, difference in found.differences)


def _cells(found: Verdict) -> list[str]:
    return [found.claim, _differences(found), found.verdict]


def _numbers(study: Study, found: Verdict) -> Iterator[dict[str, object]]:
    for name, difference in found.differences:
        common = {"problem": study.job.problem, "data": study.job.target, "quality": found.quality}
        yield {**common, "claim": found.claim, "verdict": found.verdict, "difference": name, **difference._asdict()}
