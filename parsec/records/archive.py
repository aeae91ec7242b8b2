"""Records: finished runs kept in a few small files, and the pages that list them and their evidence."""

import csv
import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import groupby
from pathlib import Path
from typing import Any

import yaml

from parsec.config import plan
from parsec.config.load import load
from parsec.errors import UserError
from parsec.records import evidence
from parsec.records.documents import RESULTS_FILE, current_settings, read_document, read_documents, read_results
from parsec.records.evidence import SETTINGS, Claim, Evidence, Reader, read_claims, read_settings
from parsec.runtime.files import is_partial, partial_path, reported, write_atomic
from parsec.runtime.outputs import check_file, check_folder, mark_folder, read_marker, signature_of, write_outputs

BENCHMARKS = "benchmarks"
OPEN = "open.csv"
FOLDER = "a record"
"""Kind of the folder of a record, in its marker."""
TITLE = "# Completed and pending runs"
"""First line of the index, by which it is recognised as ours."""
DOCUMENTS = {
    "fit": "fit/**/fit.json",
    "lookup": "lookup/*.json",
    "ranking": "ranking/*.json",
    "measure": "measure/*/executor.json",
    "depths": "measure/depths.json",
    "predictor": "predictor/*/*/predictor.json",
}
"""By kind: where the results have documents other than those of searches and trainings."""
TABLE = re.compile(
    r"(?P<start><!-- table (?P<record>[\w.-]+)/(?P<name>[\w.-]+)"
    r"(?:, rows (?P<rows>\d[\d ,-]*))?(?:, columns (?P<columns>\d[\d ,-]*))? -->)"
    r"(?:(?:(?!<!-- ).)*(?P<end><!-- end of table -->))?",
    re.DOTALL,
)
PAGES = ("tables/*.csv", "tables/*.md")
LEFT_OUT = ".classes.csv"
"""End of the names of tables that are not kept: `results.jsonl` has the errors of every class."""


def keep(results: Path, record: Path, figures: Sequence[str] = ()) -> None:
    """Keep the finished run in `results` as the folder `record`, then renew the pages next to it.

    A record has the settings, one `results.jsonl` with all documents of the run, the tables, and the `figures` that
    pages show, by their paths within `results/figures`. All is read and checked before anything is written.

    Raises:
        UserError: the run is not finished, a file of it is missing or damaged, or the record exists already.
    """
    if not (results / SETTINGS).is_file():
        raise UserError(f"{results}: no finished run ({SETTINGS} is missing); let snakemake end first")
    _check_new(record)
    check_folder(record, FOLDER)
    check_index(record.parent)
    missing = [name for name in figures if not (results / "figures" / name).is_file()]
    if missing:
        raise UserError(f"{results}: has no figures/{missing[0]}; give the paths of files in its folder figures")
    pages = [p for pattern in PAGES for p in sorted(results.glob(pattern)) if not p.name.endswith(LEFT_OUT)]
    kept = [results / SETTINGS, *pages, *(results / "figures" / name for name in figures)]
    contents = {str(path.relative_to(results)): path.read_bytes() for path in kept}
    contents[RESULTS_FILE] = _lines(results).encode()

    # Under a temporary name until it is complete, so that a kill leaves no partial record.
    partial = partial_path(record)
    with reported(record):
        mark_folder(partial, FOLDER)
        for name, content in contents.items():
            write_atomic(partial / name, content)
        partial.replace(record)
    write_index(record.parent)


def _lines(results: Path) -> str:
    """The content of `results.jsonl`: the documents of exactly the runs that the settings ask for, and `DOCUMENTS`."""
    settings = load(results / SETTINGS)
    folders = [run.folder for run in plan.searches(settings)] + [run.folder for run in plan.retrains(settings)]
    files = [f"{folder}/result.json" for folder in folders]
    documents = read_results(results / file for file in files)
    for kind, pattern in DOCUMENTS.items():
        paths = sorted(results.glob(pattern))
        documents += [read_document(path, kind) for path in paths]
        files += [str(path.relative_to(results)) for path in paths]
    lines = [{"file": file, **document} for file, document in zip(files, documents, strict=True)]
    return "".join(json.dumps(line, ensure_ascii=False, allow_nan=False) + "\n" for line in lines)


def keep_benchmark(document: Path, record: Path) -> None:
    """Copy what `bench --json` wrote to `record`, a file in `benchmarks` of the records, then renew the pages.

    Raises:
        UserError: no such document, a rehearsal, or the record has another place or exists already.
    """
    if read_document(document, "bench").get("rehearsal"):
        raise UserError(f"{document}: a rehearsal without a GPU, at the smallest sizes; only a GPU's numbers are kept")
    if record.parent.name != BENCHMARKS or record.suffix != ".json":
        raise UserError(f"{record}: benchmarks are kept as results/records/{BENCHMARKS}/NAME.json")
    _check_new(record)
    check_index(record.parent.parent)
    write_atomic(record, document.read_bytes())
    write_index(record.parent.parent)


def _check_new(record: Path) -> None:
    if record.exists():
        raise UserError(f"{record}: exists already; records are never overwritten, choose another name")


def renew(records: Path) -> None:
    """Renew the pages of a folder of records, and bring the settings of the records under the names of this version.

    Raises:
        UserError: no such folder, a page is somebody's own, or a file of a record is damaged.
    """
    if not records.is_dir():
        raise UserError(f"{records}: no folder of records; give results/records, or a run and the record to make")
    check_index(records)
    for record in _runs(records):
        settings = read_settings(record)
        if read_marker(record) is not None and (current := current_settings(settings)) != settings:
            write_atomic(record / SETTINGS, yaml.safe_dump(current, sort_keys=False, allow_unicode=True))
    write_index(records)


def with_tables(page: str, records: Path) -> str:
    """A page whose tables are those of records: between `<!-- table RECORD/NAME -->` and `<!-- end of table -->`.

    `<!-- table RECORD/NAME, rows 1-4, 9-12, columns 1-3 -->` leaves out the others; row 1 follows the heading.

    Raises:
        UserError: a record has no such table, row or column, or the end of a table is missing.
    """

    def filled(match: re.Match[str]) -> str:
        table = records / match["record"] / "tables" / f"{match['name']}.md"
        if match["end"] is None:
            raise UserError(f"<!-- table {match['record']}/{match['name']} -->: without <!-- end of table --> after it")
        if not table.is_file():
            raise UserError(f"{table}: missing; name a table of a record")
        lines = [line for line in table.read_text(encoding="utf-8").splitlines() if line.startswith("|")]
        lines = lines[:2] + _selected(lines[2:], match["rows"], f"{table}: rows")
        if match["columns"]:
            # A | within a cell is written as \|.
            cells = [re.split(r"(?<!\\)\|", line)[1:-1] for line in lines]
            lines = ["|".join(["", *_selected(row, match["columns"], f"{table}: columns"), ""]) for row in cells]
        return "\n".join([match["start"], "", *lines, "", match["end"]])

    return TABLE.sub(filled, page)


def _selected(items: list[str], ranges: str | None, what: str) -> list[str]:
    """The items that `ranges` names, such as `1-4, 9`, counted from 1; all of them if it is None."""
    if ranges is None:
        return items
    selected: list[str] = []
    for part in ranges.split(","):
        ends = [int(end) for end in re.findall(r"\d+", part)]
        if len(ends) not in (1, 2) or not 1 <= ends[0] <= ends[-1] <= len(items):
            raise UserError(f"{what} {ranges}: the table has 1 to {len(items)}; name some of them, such as 1-2, 4")
        selected += items[ends[0] - 1 : ends[-1]]
    return selected


def fill_page(page: Path, records: Path) -> None:
    """Renew the tables of a page, as `with_tables`; all else of it stays as it is.

    Raises:
        UserError: as `with_tables`, or the page cannot be read or written.
    """
    with reported(page):
        text = page.read_text(encoding="utf-8")
        write_atomic(page, with_tables(text, records))


def check_index(records: Path) -> None:
    """Refuse a folder whose `README.md` or `claims.md` is not a page of ours, before anything is copied into it.

    Raises:
        UserError: it is somebody's own page, or cannot be written.
    """
    check_file(records / "README.md", signature_of(TITLE.encode()))
    check_file(records / "claims.md", signature_of(HEAD.encode()))


def write_index(records: Path) -> None:
    """Write `README.md` of the folder of records (runs, benchmarks, pending runs of `open.csv`) and `claims.md`."""
    runs = _runs(records)
    benchmarks = sorted((records / BENCHMARKS).glob("*.json"))
    pending = _pending_runs(records / OPEN)
    lines = [TITLE, "", *_introduction(runs)]
    lines += _section(
        "Completed", "record | run | machine | jobs | hours, summed over jobs | commit", map(_run_row, runs)
    )
    lines += _section("Benchmarks", "record | machine | threads | targets | commit", map(_benchmark_row, benchmarks))
    rows = [f"| {row['what']} | `{row['command']}` | {row['needs']} |" for row in pending]
    lines += _section("Pending (need a GPU or hours)", "what | command | needs", rows)
    write_outputs({records / "claims.md": claims_page(records, pending), records / "README.md": "\n".join(lines)})


def _introduction(runs: Sequence[Path]) -> list[str]:
    lines = [
        "A record is a finished run in a few files: its settings, all result documents with their provenance, one per",
        f"line of `{RESULTS_FILE}`, its tables, and the figures that pages show. What they show about the papers'",
        "claims: [claims](claims.md). `parsec record` makes records and both pages.",
        "",
    ]
    if not runs:
        return lines
    example = runs[0].name
    table = min((path.name for path in runs[0].glob("tables/*.csv")), default="NAME.csv")
    return [
        *lines,
        "To repeat one, with the settings of its record:",
        "",
        "```sh",
        f"snakemake --cores 2 --configfile results/records/{example}/{SETTINGS}",
        "```",
        "",
        "To read its numbers, one row per search or training, and a table:",
        "",
        "```python",
        f'pandas.read_json("results/records/{example}/{RESULTS_FILE}", lines=True)',
        f'pandas.read_csv("results/records/{example}/tables/{table}")',
        "```",
        "",
    ]


def _section(title: str, columns: str, rows: Iterable[str]) -> list[str]:
    rule = "| " + " | ".join("---" for _ in columns.split("|")) + " |"
    return [f"## {title}", "", f"| {columns} |", rule, *rows, ""]


def _runs(records: Path) -> list[Path]:
    """The records of finished runs; not what a killed `keep` has left under a temporary name."""
    return [each for each in sorted(records.iterdir()) if (each / SETTINGS).is_file() and not is_partial(each)]


def _pending_runs(path: Path) -> list[dict[str, str]]:
    """Rows of `open.csv`; none where a folder of records of one's own has no such list.

    Raises:
        UserError: a row lacks a column.
    """
    if not path.is_file():
        return []
    with path.open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    if any(row.get(column) is None for row in rows for column in ("what", "command", "needs")):
        raise UserError(f"{path}: not the list of pending runs; give every row the columns what, command and needs")
    return rows


def _run_row(record: Path) -> str:
    results = read_documents([record / RESULTS_FILE], "search", "retrain")
    hours = sum(result["cost"]["wall_seconds"] for result in results) / 3600
    machines = ", ".join(dict.fromkeys(_machine(result["provenance"]["machine"]) for result in results))
    commits = ", ".join(dict.fromkeys(_commit(result["provenance"]["git"]) for result in results))
    name = record.name
    return f"| [{name}]({name}) | {evidence.title(record)} | {machines} | {len(results)} | {hours:.2f} | {commits} |"


def _benchmark_row(path: Path) -> str:
    document = read_document(path, "bench")
    made = document["provenance"]
    targets = [_target(target) for comparison in document["comparisons"] for target in comparison["targets"]]
    cells = (_machine(made["machine"]), made["threads"], "; ".join(targets) or "–", _commit(made["git"]))
    return f"| [{path.stem}]({BENCHMARKS}/{path.name}) | " + " | ".join(map(str, cells)) + " |"


def _target(target: Mapping[str, Any]) -> str:
    reached = "reached" if target["reached"] else "**not reached**"
    found = f"{target['found']:.3g} (target {target['target']:.3g})"
    return f"{target['contender']}: {target['quantity']} {found}, {reached}"


def _machine(machine: Mapping[str, Any]) -> str:
    gpu = machine["gpu"]
    return str(gpu["name"]) if gpu else f"{machine['cpu']}, {machine['cores']} cores"


def _commit(git: Mapping[str, Any] | None) -> str:
    if git is None:
        return "unknown"
    return str(git["commit"])[:9] + (" with changes" if git["dirty"] else "")


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

- ± is the sample standard deviation over the n of the row, either searches, each the mean of its trainings, or
  repeats. Published ± are printed as published: NASWOT's are over the searches stated; no source that we could read
  states what PARSEC's are over.
- Square brackets are 95 % intervals of the mean or of the difference: Student's t over searches, pairs or repeats; of
  τ bootstrapped over architectures. None is adjusted for the number of rows on this page.

How verdicts come about:

- A difference *holds* if its interval lies entirely on the claimed side of zero, *does not hold* if on the other, and
  there is *no significant difference* if it includes zero. Where several comparisons test one claim, it holds if all
  of them hold, and *in part* if some do. Targets and candidate sets of predictors are tested separately, without
  adjustment.
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
  itself. Executor `sequential` runs one child after another; `auto`, the default, may trade memory for speed, and gets
  its own verdict.
- *At reduced scale*: networks, images, epochs or tables are far below the paper's, so that the verdict is on the method
  at that scale and not on the paper's numbers. A test error after such short training is *not shown* to reach the
  paper's.
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
        rows = [row for claim in claims for row in _claim_rows(claim, records, waiting)]
        lines.append("\n".join([f"## {group}", "", COLUMNS, *rows, ""]))
    return "\n".join(lines)


def _claim_rows(claim: Claim, records: Path, waiting: Sequence[Mapping[str, str]]) -> Iterator[str]:
    """One row per record with evidence on the claim, and one per pending run; the first one names the claim."""
    rows = [
        (shown.ours, f"[{path.stem}]({path.relative_to(records)})", shown.scale, shown.verdict)
        for path, shown in _evidence_for(claim, records)
    ]
    pending = (run for run in waiting if claim.open and run["what"].startswith(claim.open))
    rows += [("–", f"`{run['command']}`", run["needs"], "not yet run") for run in pending]
    mark = " †" if claim.certainty == "secondary" else ""
    named = (claim.text, f"{claim.published}{mark} ({claim.source})")
    for cells in rows or [("–", "–", "–", "not yet run")]:
        yield f"| {' | '.join(cell.replace('|', '/') for cell in (*named, *cells))} |"
        named = ("", "")


def _evidence_for(claim: Claim, records: Path) -> Iterator[tuple[Path, Evidence]]:
    if claim.claim not in READERS:
        return
    for record in (*_runs(records), *sorted((records / BENCHMARKS).glob("*.json"))):
        shown = READERS[claim.claim](record, claim)
        if shown:
            yield record, shown
