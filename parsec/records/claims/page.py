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
    "kendall": studies.kendall,
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

Made by `python -m parsec record`; every number is read off a file of the record beside it. How verdicts come about:

- A difference *holds* if its 95 % interval lies on the side of the claim, *does not hold* if it lies on the other, and
  is *not told apart* if zero is in it. NASWOT's τ holds within 0.05 of the published; its searches hold within the
  published deviation.
- Memory holds if no search step needs more than 1.05 of the hungriest child trained alone.
- *At reduced scale*: networks, images or epochs are far below the paper's, so that the verdict is on the method at that
  scale and not on the paper's numbers. A test error of so short a training is *not shown* to reach the paper's.
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
    """One row a record that says something of the claim, and one for the runs that are open."""
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
