"""Records: finished runs that are kept, and the page that lists them."""

import csv
import json
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import yaml

from parsec.config import outputs, plan
from parsec.config.load import load
from parsec.config.settings import Settings
from parsec.errors import UserError
from parsec.records.claims.page import claims_page
from parsec.records.documents import read_results
from parsec.runtime.files import partial_path, reported, write_atomic
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
        "What they show of the papers' claims: [claims](claims.md). Both pages are made by `parsec record`.",
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


PAGES = (
    "settings.yaml",
    "checklist.md",
    "tables/*",
    "figures/*.csv",
    "figures/*.svg",
    "data/*/dataset.json",
    "data/*/source.json",
    "measure/**/*.json",
    "lookup/*",
    "fit/**/*.json",
    "fit/**/pi.parquet",
    "score/*/*/scores.parquet",
    "ablation/*/ablation.parquet",
    "simulate/*/*/simulations.parquet",
    "predictor/*/*/*",
    "proposal/*/proposal.parquet",
)
REDRAWN = ("figures/pi-*", "figures/cells-*.csv", "figures/operations.csv")
"""Left out for their size: `parsec figure runs` makes them again from what is kept of the runs."""
LARGE = "weights.safetensors"


def keep(results: Path, record: Path) -> None:
    """Copy the small files of the finished run in `results` to `record`, then renew the index beside it.

    Raises:
        UserError: the run is not finished, or the record exists already.
    """
    if not (results / "settings.yaml").is_file():
        raise UserError(f"{results}: no finished run (settings.yaml is missing); let snakemake end first")
    if record.exists():
        raise UserError(f"{record}: exists already; records are never overwritten, choose another name")
    check_index(record.parent)
    pages = [path for pattern in PAGES for path in results.glob(pattern)]
    copied = [path for path in pages if not any(map(path.match, REDRAWN))]
    settings = load(results / "settings.yaml")
    copied += [results / file for file in _files_of_runs(settings)]
    copied += [results / log for log in _logs(settings) if (results / log).is_file()]
    # Under another name until it is whole, so that a kill in between leaves no half of a record.
    partial = partial_path(record)
    with reported(record):
        for path in copied:
            place = partial / path.relative_to(results)
            place.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(path, place)
        partial.replace(record)
    write_index(record.parent)


def _files_of_runs(settings: Settings) -> list[str]:
    """Small files of exactly the runs that the settings ask for, whatever else lies in the folder."""
    searches = [f"{run.folder}/{name}" for run in plan.searches(settings) for name in outputs.SEARCH_FILES]
    trainings = [f"{run.folder}/{name}" for run in plan.retrains(settings) for name in outputs.RETRAIN_FILES]
    return [file for file in searches + trainings if not file.endswith(LARGE)]


def _logs(settings: Settings) -> list[str]:
    """What these runs said; a run that was not made by the workflow has none."""
    folders = [run.folder for run in plan.searches(settings)] + [run.folder for run in plan.retrains(settings)]
    return [f"logs/{folder}.log" for folder in folders]


def keep_benchmark(document: Path, record: Path) -> None:
    """Copy what `bench --json` wrote to `record`, a file in `benchmarks` of the records, then renew the index.

    Raises:
        UserError: no such document, or the record stands elsewhere or exists already.
    """
    try:
        kind = json.loads(document.read_text(encoding="utf-8")).get("kind")
    except (OSError, ValueError, AttributeError) as error:
        raise UserError(f"{document}: not a file of `bench --json` ({error})") from error
    if kind != "bench":
        raise UserError(f"{document}: not a file of `bench --json`")
    if record.parent.name != BENCHMARKS or record.suffix != ".json":
        raise UserError(f"{record}: benchmarks are kept as results/records/{BENCHMARKS}/NAME.json")
    if record.exists():
        raise UserError(f"{record}: exists already; records are never overwritten, choose another name")
    check_index(record.parent.parent)
    write_atomic(record, document.read_bytes())
    write_index(record.parent.parent)
