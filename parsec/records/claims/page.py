"""The page of claims: published, ours, the record, and the verdict, or the command that would answer."""

from collections.abc import Iterator, Mapping, Sequence
from itertools import groupby
from pathlib import Path

from parsec.records.claims import searches, studies
from parsec.records.claims.claim import Claim, Evidence, Reader, read_claims

READERS: dict[str, Reader] = {
    "cifar10-proxy": searches.retrained,
    "cifar10-finetuned": searches.retrained,
    "memory": searches.memory,
    "transfer": searches.transfer,
    "random": searches.random,
    "collapse": searches.collapse,
    **dict.fromkeys(studies.KENDALL, studies.kendall),
    "kendall-nasbench101": studies.kendall101,
    "search-10": studies.searched,
    "search-100": studies.searched,
    "search-1000": studies.searched,
    "assisted": studies.assisted,
    "predictor-all": studies.predictor,
    "predictor-uniform": studies.predictor,
    "predictor-smart": studies.predictor,
}
"""By the name of the claim; one that is not here can only be answered by runs that are still open."""
HEAD = """# Claims, and what our records show of them

Made by `parsec record`; every number is read off a file of the record named in its row.

- ± is the sample standard deviation over the n of the row: over searches, each the mean of its trainings, or over
  repeats. Published ± are printed as published: NASWOT's are over the searches stated; no source that we could read
  states what PARSEC's are over.
- Square brackets are 95 % intervals of the mean or of the difference: Student's t over searches, pairs or repeats; of
  τ bootstrapped over architectures. None is adjusted for the number of rows on this page.

How verdicts come about:

- A difference *holds* if its interval is on the side of the claim, *does not hold* if it is on the other, and there is
  *no significant difference* if zero is in it. Where several comparisons test one claim, it holds if all of them hold,
  and *in part* if some do. Qualities and pools of predictors are judged one by one, unadjusted for their number.
- A published number is reproduced (*holds*) if even the worse end of the interval is within a margin of it, and is not
  (*does not hold*) if even the better end is outside. In between, it is *close, but differs significantly* if the
  interval excludes the published number; else there is *no significant difference*. If the true value is just at the
  margin, this rule says *holds* in at most 2.5 % of cases. Margins: 0.1 points for PARSEC's test errors, which may also
  be lower (one training of DARTS' cell varies by ± 0.09); to either side 0.05 for NASWOT's τ (1,000 architectures know
  it to 0.03) and 0.2 points for the accuracy of NASWOT's searches. There the interval is of the difference to the
  published mean and carries the standard errors of both.
- *On one weight draw*: every architecture was scored with one draw of weights, so that the interval does not cover how
  others would do; the paper draws weights anew in every search.
- Memory holds if no search step needs more than 1.05 of the hungriest child trained by itself. Executor `one` runs one
  child after another; `auto`, the default, may trade memory for speed, and is judged by itself.
- *At reduced scale*: networks, images, epochs or tables are far below the paper's, so that the verdict is on the method
  at that scale and not on the paper's numbers. A test error of so short a training is *not shown* to reach the paper's.
- Published values marked † are quoted from a secondary source.
"""
COLUMNS = "| claim | published | ours | record | scale | verdict |\n| --- | --- | --- | --- | --- | --- |"


def claims_page(records: Path, waiting: Sequence[Mapping[str, str]]) -> str:
    """The page for a folder of records; `waiting` are the rows of the list of open runs.

    Raises:
        UserError: a file of a record, or the list of claims, is damaged.
    """
    lines = [HEAD]
    for group, claims in groupby(read_claims(), key=lambda claim: claim.group):
        rows = [row for claim in claims for row in _rows(claim, records, waiting)]
        lines.append("\n".join([f"## {group}", "", COLUMNS, *rows, ""]))
    return "\n".join(lines)


def _rows(claim: Claim, records: Path, waiting: Sequence[Mapping[str, str]]) -> Iterator[str]:
    """One row per record that says something of the claim, and one for the runs that are open."""
    mark = " †" if claim.certainty == "secondary" else ""
    named = (claim.text, f"{claim.published}{mark} ({claim.source})")
    for place, found in _evidence(claim, records):
        yield _row(*named, found.ours, f"[{place.stem}]({place.relative_to(records)})", found.scale, found.verdict)
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
        found = READERS[claim.claim](record, claim)
        if found:
            yield record, found


def _row(*cells: str) -> str:
    return f"| {' | '.join(cell.replace('|', '/') for cell in cells)} |"
