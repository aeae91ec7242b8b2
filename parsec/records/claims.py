"""The page of claims: published value, ours, record and verdict, or the command of the run that would answer."""

from collections.abc import Iterator, Mapping, Sequence
from itertools import groupby
from pathlib import Path

from parsec.records import evidence
from parsec.records.evidence import Claim, Evidence, Reader, read_claims

READERS: dict[str, Reader] = {
    "cifar10-proxy": evidence.retrained,
    "cifar10-finetuned": evidence.retrained,
    "memory": evidence.memory,
    "transfer": evidence.transfer,
    "random": evidence.random,
    "collapse": evidence.collapse,
    **dict.fromkeys(evidence.KENDALL, evidence.kendall),
    "kendall-nasbench101": evidence.kendall101,
    "search-10": evidence.searched,
    "search-100": evidence.searched,
    "search-1000": evidence.searched,
    "assisted": evidence.assisted,
    "predictor-all": evidence.predictor,
    "predictor-uniform": evidence.predictor,
    "predictor-smart": evidence.predictor,
}
"""By claim; a claim without a reader can only be answered by runs that are still pending."""
HEAD = """# Claims of the papers and our evidence

Made by `parsec record`; every number comes from a file of the record named in its row.

- ± is the sample standard deviation over the n of the row: over searches, each the mean of its trainings, or over
  repeats. Published ± are printed as published: NASWOT's are over the searches stated; no source that we could read
  states what PARSEC's are over.
- Square brackets are 95 % intervals of the mean or of the difference: Student's t over searches, pairs or repeats; of
  τ bootstrapped over architectures. None is adjusted for the number of rows on this page.

How verdicts come about:

- A difference *holds* if its interval is on the side of the claim, *does not hold* if it is on the other, and there is
  *no significant difference* if zero is in it. Where several comparisons test one claim, it holds if all of them hold,
  and *in part* if some do. Targets and candidate sets of predictors are tested separately, without adjustment.
- A published number is reproduced (*holds*) if even the worse end of the interval is within a margin of it, and is not
  (*does not hold*) if even the better end is outside. In between, it is *close, but differs significantly* if the
  interval excludes the published number; else there is *no significant difference*. If the true value is just at the
  margin, this rule says *holds* in at most 2.5 % of cases. Margins: 0.1 points for PARSEC's test errors, which may also
  be lower (one training of DARTS' cell varies by ± 0.09); to either side 0.05 for NASWOT's τ (1,000 architectures
  determine it to 0.03) and 0.2 points for the accuracy of NASWOT's searches. There the interval is of the difference to
  the published mean and includes the standard errors of both.
- *On one weight draw*: every architecture was scored with one draw of weights, so that the interval does not cover the
  variation between draws; the paper draws new weights in every search.
- Memory holds if no search step needs more than 1.05 times the memory of the most memory-hungry child trained by
  itself. Executor `sequential` runs one child after another; `auto`, the default, may trade memory for speed, and has a
  verdict of its own.
- *At reduced scale*: networks, images, epochs or tables are far below the paper's, so that the verdict is on the method
  at that scale and not on the paper's numbers. A test error of so short a training is *not shown* to reach the paper's.
- Published values marked † are quoted from a secondary source.
"""
COLUMNS = "| claim | published | ours | record | scale | verdict |\n| --- | --- | --- | --- | --- | --- |"


def claims_page(records: Path, waiting: Sequence[Mapping[str, str]]) -> str:
    """The page for a folder of records; `waiting` are the rows of the list of pending runs.

    Raises:
        UserError: a file of a record, or the list of claims, is damaged.
    """
    lines = [HEAD]
    for group, claims in groupby(read_claims(), key=lambda claim: claim.group):
        rows = [row for claim in claims for row in _rows(claim, records, waiting)]
        lines.append("\n".join([f"## {group}", "", COLUMNS, *rows, ""]))
    return "\n".join(lines)


def _rows(claim: Claim, records: Path, waiting: Sequence[Mapping[str, str]]) -> Iterator[str]:
    """One row per record with evidence on the claim, and one per pending run."""
    mark = " †" if claim.certainty == "secondary" else ""
    named = (claim.text, f"{claim.published}{mark} ({claim.source})")
    for path, shown in _evidence(claim, records):
        yield _row(*named, shown.ours, f"[{path.stem}]({path.relative_to(records)})", shown.scale, shown.verdict)
        named = ("", "")
    for run in waiting:
        if claim.open and run["what"].startswith(claim.open):
            yield _row(*named, "–", f"`{run['command']}`", run["needs"], "not yet run")
            named = ("", "")
    if any(named):
        yield _row(*named, "–", "–", "–", "not yet run")


def _evidence(claim: Claim, records: Path) -> Iterator[tuple[Path, Evidence]]:
    if claim.claim not in READERS:
        return
    runs = [folder for folder in sorted(records.iterdir()) if (folder / "settings.yaml").is_file()]
    for record in (*runs, *sorted((records / "benchmarks").glob("*.json"))):
        shown = READERS[claim.claim](record, claim)
        if shown:
            yield record, shown


def _row(*cells: str) -> str:
    return f"| {' | '.join(cell.replace('|', '/') for cell in cells)} |"
