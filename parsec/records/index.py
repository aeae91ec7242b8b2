"""The index page of the records: runs and benchmarks that were done, and runs that are open."""

import csv
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import yaml

from parsec.records.claims.page import claims_page
from parsec.records.documents import read_results
from parsec.runtime.outputs import check_file, signature_of, write_outputs

BENCHMARKS = "benchmarks"
OPEN = "open.csv"
TITLE = "# Runs done, and runs that are open"
"""First line of the index, by which it is known as ours."""


def check_index(records: Path) -> None:
    """Refuse a folder whose `README.md` is not the index of records, before anything is copied into it.

    Raises:
        UserError: it is somebody's own page, or cannot be written.
    """
    check_file(records / "README.md", signature_of(TITLE.encode()))


def write_index(records: Path) -> None:
    """Write `README.md` of the folder of records (runs, benchmarks, open runs of `open.csv`) and `claims.md`."""
    runs = [_run(folder) for folder in sorted(records.iterdir()) if (folder / "settings.yaml").is_file()]
    benchmarks = [_benchmark(file) for file in sorted((records / BENCHMARKS).glob("*.json"))]
    to_do = _open_runs(records / OPEN)
    waiting = [f"| {row['what']} | `{row['command']}` | {row['needs']} |" for row in to_do]
    lines = [
        TITLE,
        "",
        "One folder a run: settings, data set hashes, π, genotypes, metrics, results with provenance, tables, figures.",
        "What they show of the papers' claims: [claims](claims.md). Both pages are made by `python -m parsec record`.",
        "",
        *_section("Done", "record | run | machine | jobs | hours, summed over jobs | commit", runs),
        *_section("Benchmarks", "record | machine | threads | what was to be reached | commit", benchmarks),
        *_section("Open: these need a GPU, or hours", "what | command | needs", waiting),
    ]
    write_outputs({records / "claims.md": claims_page(records, to_do), records / "README.md": "\n".join(lines)})


def _section(title: str, columns: str, rows: Sequence[str]) -> list[str]:
    rule = "| " + " | ".join("---" for _ in columns.split("|")) + " |"
    return [f"## {title}", "", f"| {columns} |", rule, *rows, ""]


def _open_runs(path: Path) -> list[dict[str, str]]:
    """Rows of `open.csv`; none where a folder of records of one's own has no such list."""
    if not path.is_file():
        return []
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def _run(folder: Path) -> str:
    settings = yaml.safe_load((folder / "settings.yaml").read_text(encoding="utf-8"))
    results = read_results(sorted(folder.glob("*/**/result.json")))
    hours = sum(result["cost"]["wall_seconds"] for result in results) / 3600
    machines = ", ".join(dict.fromkeys(_machine(result["provenance"]["machine"]) for result in results))
    commits = ", ".join(dict.fromkeys(_commit(result["provenance"]["git"]) for result in results))
    name = folder.name
    return f"| [{name}]({name}) | {settings['name']} | {machines} | {len(results)} | {hours:.2f} | {commits} |"


def _benchmark(file: Path) -> str:
    document = json.loads(file.read_text(encoding="utf-8"))
    made = document["provenance"]
    targets = [_target(target) for contest in document["contests"] for target in contest["targets"]]
    cells = (_machine(made["machine"]), made["threads"], "; ".join(targets) or "–", _commit(made["git"]))
    return f"| [{file.stem}]({BENCHMARKS}/{file.name}) | " + " | ".join(map(str, cells)) + " |"


def _target(target: dict[str, Any]) -> str:
    reached = "reached" if target["reached"] else "**not reached**"
    return f"{target['contender']}: {target['quantity']} {target['found']:.3g} for {target['target']:.3g}, {reached}"


def _machine(machine: dict[str, Any]) -> str:
    gpu = machine["gpu"]
    return str(gpu["name"]) if gpu else f"{machine['cpu']}, {machine['cores']} cores"


def _commit(git: dict[str, Any] | None) -> str:
    if git is None:
        return "unknown"
    return str(git["commit"])[:9] + (" with changes" if git["dirty"] else "")
