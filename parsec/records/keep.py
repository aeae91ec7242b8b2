"""Keeping a finished run as a record: what its numbers need to be trusted, and nothing that is large."""

import json
import shutil
from pathlib import Path

from parsec.errors import UserError
from parsec.records.index import BENCHMARKS, check_index, write_index
from parsec.runtime.files import partial_path, reported, write_atomic
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
"""Left out for their size: `python -m parsec draw` makes them again from what is kept of the runs."""
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
    searches = [f"{run.folder}/{name}" for run in plan.searches(settings) for name in plan.SEARCH_FILES]
    trainings = [f"{run.folder}/{name}" for run in plan.retrains(settings) for name in plan.RETRAIN_FILES]
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
