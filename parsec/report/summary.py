"""The page at the front of the report: test error per method, entropy of π, and what made the results."""

from collections import Counter
from collections.abc import Iterator, Sequence
from math import fsum, log
from pathlib import Path
from typing import Any

import pandas as pd

from parsec.config.base import SEARCH_STAGES, form_of
from parsec.errors import UserError
from parsec.plugins import source_root
from parsec.records.documents import RESULTS, read_documents
from parsec.report.inputs import TITLES, Result, base_method, cumulative
from parsec.report.methods import display_name
from parsec.report.tables.accuracy import FAMILY, SOURCE, STATISTICS, columns_of, few_images_notes, our_rows
from parsec.report.tables.base import (
    Column,
    Section,
    Table,
    cost_text,
    list_columns,
    listing,
    mean_and_std,
    number_column,
)
from parsec.report.tables.markup import html_heading, html_page, html_table, html_text, rst_table
from parsec.report.tables.nasbench201 import make_found_table
from parsec.runtime.outputs import write_outputs
from parsec.space.spaces import SPACES
from parsec.stats import Summary, summarise

TITLE = "Summary of this run"
ERRORS, ENTROPIES = "summary-errors", "summary-entropy"
INTRODUCTION = (
    "PARSEC learns a distribution π over architectures, takes the most probable one, and trains it from scratch. Every "
    "number is computed from the records of this run; the other pages of the report say how."
)
UNIFORM = ("random", "random_ws")
"""Methods that do not change π."""


def write_summary(inputs: Sequence[Path], output: Path) -> None:
    """Result files of searches and trainings, and perhaps of `lookup` → a self-contained HTML page.

    Next to it are written lines of text for the terminal (`.txt`), and the first page of Snakemake's report (`.rst`).

    Raises:
        UserError: no result, a file is missing or damaged, or the search behind a training is not among them.
    """
    documents = {path: read_documents([path], *RESULTS, "lookup") for path in inputs}
    looked_up = [path for path, held in documents.items() if any(d["kind"] == "lookup" for d in held)]
    results = [d for held in documents.values() for d in held if d["kind"] != "lookup"]
    if not results:
        raise UserError("the summary needs result files; give the result.json of searches and retrainings")
    found = [make_found_table(looked_up).table] if looked_up else []
    tables = [*_errors(results), *found, *_entropies(results), _provenance(results)]
    tables = [table.without_empty_columns() for table in tables]
    body = [f"<p>{html_text(INTRODUCTION)}</p>"]
    for table in tables:
        body += [html_heading(table.caption), html_table(table)]
    introduction = (source_root() / "workflow" / "report" / "workflow.rst").read_text(encoding="utf-8")
    lines = [TITLE, *(line for table in tables for line in _terminal_lines(table))]
    page = {output: html_page(TITLE, body)}
    page[output.with_suffix(".rst")] = "\n\n".join([introduction, *map(rst_table, tables)])
    write_outputs(page | {output.with_suffix(".txt"): "".join(f"{line}\n" for line in lines)})


def _terminal_lines(table: Table) -> Iterator[str]:
    """The numbers of a table of errors or entropies, one line per row: `2.36 ± 0.59 (n = 2)`."""
    if table.label not in (ERRORS, ENTROPIES):
        return
    headings = table.headings
    count = headings.index("n")
    value = next(i for i, heading in enumerate(headings) if heading.startswith(("Test error", "Top-1", "Entropy of π")))
    yield f"{headings[value]}:"
    for row in table.rows:
        name = ", ".join(row[: min(count, value)])
        uniform = next((f" of {cell}" for heading, cell in zip(headings, row, strict=True) if "Uniform" in heading), "")
        yield f"  {name}: {row[value]}{uniform} (n = {row[count]})"


def _errors(results: list[Result]) -> Iterator[Table]:
    """Test errors of all data sets; nothing where nothing was trained from scratch."""
    data_sets = dict.fromkeys(result["dataset"] for result in results if result["kind"] == "retrain")
    rows = {name: our_rows(results, name) for name in data_sets}
    every = [row for each in rows.values() for row in each]
    if not every:
        return
    printed = columns_of(every, pd.DataFrame(), large=False)
    columns = [each.column for each in printed if each not in (FAMILY, SOURCE)]
    sections = [Section.of(name if len(rows) > 1 else "", each, columns) for name, each in rows.items()]
    caption = f"Test error per method, {listing(data_sets)}"
    yield Table(ERRORS, caption, columns, sections, [STATISTICS, *few_images_notes(every)])


def _uniform_entropy(searches: list[Result]) -> float:
    """Largest possible entropy, that of a uniform π."""
    factors = SPACES[searches[0]["space"]].factors(form_of(base_method(searches[0])))
    return fsum(log(len(factor.choices)) for factor in factors)


def _entropy(searches: list[Result]) -> Summary:
    return summarise([result["entropy"] for result in searches])


def _mode_accuracy(searches: list[Result]) -> Summary:
    return summarise([100 * result["mode_accuracy"] for result in searches])


def _entropies(results: list[Result]) -> Iterator[Table]:
    """Entropy of π after the last epoch, per stage and method that changes π."""
    groups: dict[tuple[str, str, str], list[Result]] = {}
    for result in results:
        if result["kind"] == "search" and base_method(result) not in UNIFORM:
            groups.setdefault((result["stage"], result["dataset"], result["method"]), []).append(result)
    if not groups:
        return
    # PARSEC first, then by stage.
    order = sorted(groups, key=lambda key: (key[2] != "parsec", SEARCH_STAGES.index(key[0]), key[2], key[1]))
    rows = [groups[key] for key in order]
    columns = [
        Column("Method", lambda row: display_name(row[0]["method"], base_method(row[0])), "l"),
        Column("Stage", lambda row: TITLES[row[0]["stage"]], "l"),
        Column("Data set", lambda row: str(row[0]["dataset"]), "l"),
        Column("n", lambda row: str(len(row))),
        Column("Entropy of π (nats)", lambda row: mean_and_std(_entropy(row))),
        number_column("Uniform π (nats)", _uniform_entropy, rows, digits=4),
        number_column("Entropy left (%)", lambda row: 100 * _entropy(row).mean / _uniform_entropy(row), rows, digits=2),
        Column("Accuracy of the mode (%)", lambda row: mean_and_std(_mode_accuracy(row))),
    ]
    notes = [
        "Entropy after the last epoch, mean ± sample standard deviation over n searches; that of a uniform π is the "
        "largest there can be.",
        "Accuracy of the mode, the most probable architecture, is on the validation split with the weights of the "
        "search; the validation split also trains π, so that it is a diagnostic and no estimate of the final accuracy.",
    ]
    yield Table(ENTROPIES, "Entropy of π at the end of the searches", columns, [Section.of("", rows, columns)], notes)


def _provenance(results: list[Result]) -> Table:
    """Code, machine and versions of all results."""
    made, kinds = [result["provenance"] for result in results], Counter(result["kind"] for result in results)
    facts = {
        "Results": f"{kinds['search']} searches, {kinds['retrain']} trainings from scratch",
        "Commit": listing(map(_commit, (each["git"] for each in made))),
        "Machine": listing(map(_machine, (each["machine"] for each in made))),
        "Device": listing(_device(result) for result in results),
        "Versions": listing(map(_versions, (each["versions"] for each in made))),
        "Package": listing(f"parsec-nas {each['version']}" for each in made),
        "Finished": f"{min(each['finished'] for each in made)} to {max(each['finished'] for each in made)}",
        "Device time": cost_text(cumulative(results)),
    }
    columns = list_columns(["What", "Of these results"], "ll")
    rows = [[name, text] for name, text in facts.items()]
    return Table("summary-provenance", "What made these results", columns, [Section("", rows)], [])


def _commit(git: dict[str, Any] | None) -> str:
    if git is None:
        return "not recorded"
    return f"`{git['commit'][:12]}`" + (" with uncommitted changes" if git["dirty"] else "")


def _machine(machine: dict[str, Any]) -> str:
    gpu = f", {machine['gpu']['name']}" if machine["gpu"] else ""
    memory = f"{machine['memory_bytes'] / 2**30:.0f} GiB"
    return f"{machine['cpu']}, {machine['cores']} cores, {memory}{gpu}, {machine['platform']}"


def _device(result: Result) -> str:
    threads = result["provenance"]["threads"]
    return f"{result['cost']['device']}, {threads} thread{'' if threads == 1 else 's'} per process"


SHOWN = ("python", "torch", "torchvision", "cuda", "numpy", "pandas", "scipy", "snakemake")


def _versions(versions: dict[str, Any]) -> str:
    return " · ".join(f"{name} {versions[name]}" for name in SHOWN if versions.get(name))
