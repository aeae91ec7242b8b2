"""Keeping a finished run as a record: what its numbers need to be trusted, and nothing that is large."""

import csv
import shutil
from pathlib import Path
from typing import Any

import yaml

from parsec.errors import UserError
from parsec.records.results import read_results
from parsec.runtime.files import write_atomic
from parsec.settings import plan
from parsec.settings.load import load
from parsec.settings.tree import Settings

PAGES = (
    "settings.yaml",
    "checklist.md",
    "tables/*",
    "figures/*.csv",
    "figures/*.svg",
    "data/*/dataset.json",
    "data/*/source.json",
)
LARGE = "weights.safetensors"
OPEN = "open.csv"


def keep(results: Path, record: Path) -> None:
    """Copy the small files of the finished run in `results` to `record`, then renew the index beside it.

    Raises:
        UserError: the run is not finished, or the record exists already.
    """
    if not (results / "settings.yaml").is_file():
        raise UserError(f"{results}: no finished run (settings.yaml is missing); let snakemake end first")
    if record.exists():
        raise UserError(f"{record}: exists already; records are never overwritten, choose another name")
    copied = [path for pattern in PAGES for path in results.glob(pattern)]
    copied += [results / file for file in _files_of_runs(load(results / "settings.yaml"))]
    # Under another name until it is whole, so that a kill in between leaves no half of a record.
    partial = record.with_name(f".partial-{record.name}")
    shutil.rmtree(partial, ignore_errors=True)
    for path in copied:
        place = partial / path.relative_to(results)
        place.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(path, place)
    partial.replace(record)
    write_index(record.parent)


def _files_of_runs(settings: Settings) -> list[str]:
    """Small files of exactly the runs that the settings ask for, whatever else lies in the folder."""
    searches = [f"{run.folder}/{name}" for run in plan.searches(settings) for name in plan.SEARCH_FILES]
    trainings = [f"{run.folder}/{name}" for run in plan.retrains(settings) for name in plan.RETRAIN_FILES]
    return [*(file for file in searches + trainings if not file.endswith(LARGE)), "measure/search/executor.json"]


def write_index(records: Path) -> None:
    """Write `README.md` of the folder of records: the runs that were done, and the open ones of `open.csv`."""
    done = [_line(folder) for folder in sorted(records.iterdir()) if (folder / "settings.yaml").is_file()]
    waiting = [f"| {row['what']} | `{row['command']}` | {row['needs']} |" for row in _open_runs(records / OPEN)]
    head = "| record | run | machine | jobs | hours, summed over jobs | commit |\n| --- | --- | --- | --- | --- | --- |"
    lines = [
        "# Runs done, and runs that are open",
        "",
        "One folder a run: settings, data set hashes, π, genotypes, metrics, results with provenance, tables, figures.",
        "This page is made by `python -m parsec record`.",
        "",
        "## Done",
        "",
        head,
        *done,
        "",
        "## Open: these need a GPU",
        "",
        "| what | command | needs |",
        "| --- | --- | --- |",
        *waiting,
        "",
    ]
    write_atomic(records / "README.md", "\n".join(lines))


def _open_runs(path: Path) -> list[dict[str, str]]:
    """Rows of `open.csv`; none where a folder of records of one's own has no such list."""
    if not path.is_file():
        return []
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def _line(folder: Path) -> str:
    settings = yaml.safe_load((folder / "settings.yaml").read_text(encoding="utf-8"))
    results = read_results(sorted(folder.glob("*/**/result.json")))
    hours = sum(result["cost"]["wall_seconds"] for result in results) / 3600
    machines = ", ".join(dict.fromkeys(_machine(result["provenance"]["machine"]) for result in results))
    commits = ", ".join(dict.fromkeys(_commit(result["provenance"]["git"]) for result in results))
    name = folder.name
    return f"| [{name}]({name}) | {settings['name']} | {machines} | {len(results)} | {hours:.2f} | {commits} |"


def _machine(machine: dict[str, Any]) -> str:
    gpu = machine["gpu"]
    return str(gpu["name"]) if gpu else f"{machine['cpu']}, {machine['cores']} cores"


def _commit(git: dict[str, Any] | None) -> str:
    if git is None:
        return "unknown"
    return str(git["commit"])[:9] + (" with changes" if git["dirty"] else "")
