"""Inputs of tables and figures: published rows, run folders, and the cost of every search behind a result.

What reads a file raises a `UserError` for one that is missing, damaged or empty.
"""

import functools
from collections.abc import Iterable
from pathlib import Path
from typing import Any, NamedTuple

import pandas as pd
import pyarrow as pa

from parsec.config.base import SEARCH_STAGES
from parsec.errors import UserError
from parsec.plugins import published_folder
from parsec.records.documents import read_results
from parsec.report.methods import display_name

PROTOCOLS = "protocols.csv"
FAMILIES = ("gradient-based", "evolution", "RL", "SMBO", "hypernetwork", "training-free", "random", "manual")
"""Kinds of search in the order in which tables list them; all others are listed with `training-free`."""


def read_rows(path: Path) -> pd.DataFrame:
    """Rows of one CSV, every value as the text that it is."""
    try:
        rows = pd.read_csv(path, dtype=str, keep_default_na=False)
    except (OSError, ValueError) as error:
        reason = str(error).strip()
        raise UserError(f"{path}: published table cannot be read ({reason}); restore config/published") from error
    if rows.empty:
        raise UserError(f"{path}: the published table has no rows; restore config/published")
    return rows


def published_rows(table: str, folder: Path | None = None) -> pd.DataFrame:
    """Rows of a published table: PARSEC's first, then by kind of method, best first."""
    path = (folder or published_folder()) / f"{table}.csv"
    rows = read_rows(path)
    try:
        # PARSEC's rows stay in their order; the others are sorted by kind of method, then by error.
        parsec = rows["architecture"].str.startswith("PARSEC")
        kind = rows["search_method"].where(rows["search_method"].isin(FAMILIES), "training-free")
        order = pd.DataFrame({"kind": pd.Categorical(kind, FAMILIES), "error": rows["top1_error"].astype(float)})
        others = order[~parsec].sort_values(["kind", "error"]).index
    except (KeyError, ValueError) as error:
        raise UserError(f"{path}: not a published table ({error}); restore config/published") from error
    return pd.concat([rows[parsec], rows.loc[others]])


def protocol(table: str, folder: Path | None = None) -> dict[str, str]:
    """Network, epochs and data set behind the published rows.

    Raises:
        UserError: the table has no protocol.
    """
    path = (folder or published_folder()) / PROTOCOLS
    for row in read_rows(path).to_dict("records"):
        if row.get("table") == table:
            return dict(row)
    raise UserError(f"{path}: no protocol of the table {table!r}; add a row for it")


class Reference(NamedTuple):
    """A paper that published rows are quoted from, as BibTeX has it."""

    key: str
    named: tuple[str, ...]
    """Texts by which sources name it."""
    authors: str
    title: str
    venue: str
    year: str
    arxiv: str


@functools.cache
def references() -> tuple[Reference, ...]:
    """The papers behind published rows, `config/published/references.csv`."""
    path = published_folder() / "references.csv"
    try:
        rows = read_rows(path)[list(Reference._fields)]
    except KeyError as error:
        raise UserError(f"{path}: no table of references ({error}); restore config/published") from error
    return tuple(Reference(*row)._replace(named=tuple(row.named.split(";"))) for row in rows.itertuples(index=False))


GPU_DAYS = "GPU-days"
CPU_HOURS = "CPU-hours"
SECONDS = {GPU_DAYS: 86_400.0, CPU_HOURS: 3_600.0}

Result = dict[str, Any]
Cost = dict[str, float]
"""Amount by unit; two units where one stage ran on a GPU and another on the CPU."""
SearchKey = tuple[str, str, int]


def by_key(results: Iterable[Result]) -> dict[SearchKey, Result]:
    """Of these results those that a π comes from, searches and fits, by stage, method and seed.

    Raises:
        UserError: two results of one search.
    """
    searches: dict[SearchKey, Result] = {}
    for result in (result for result in results if result["kind"] in ("search", "fit")):
        key = (result["stage"], result["method"], result["seed"])
        if key in searches:
            raise UserError(f"two results of {_name(key)} were given; give those of one run only")
        searches[key] = result
    return searches


def lineage(searches: dict[SearchKey, Result], key: SearchKey) -> list[Result]:
    """The search `key` and its ancestors, the first one last.

    Raises:
        UserError: one of them is missing, so that its cost is unknown.
    """
    chain: list[Result] = []
    step: SearchKey | None = key
    while step is not None:
        if step not in searches:
            raise UserError(f"the result of {_name(step)} is missing, so the search cost is unknown; give it too")
        chain.append(searches[step])
        parent = chain[-1]["parent"]
        step = parent and (parent["stage"], parent["method"], parent["seed"])
    return chain


def cumulative(chain: Iterable[Result]) -> Cost:
    """Device time of all stages of a lineage: GPU-days where an accelerator was held, CPU-hours elsewhere."""
    total: Cost = {}
    for result in chain:
        unit = GPU_DAYS if result["cost"]["accelerator"] else CPU_HOURS
        total[unit] = total.get(unit, 0.0) + result["cost"]["device_seconds"] / SECONDS[unit]
    return total


def mean_cost(costs: list[Cost]) -> Cost:
    """Mean over searches, unit by unit."""
    units = {unit: None for cost in costs for unit in cost}
    return {unit: sum(cost.get(unit, 0.0) for cost in costs) / len(costs) for unit in units}


def _name(key: SearchKey) -> str:
    return f"{key[0]} with {key[1]}, seed {key[2]}"


TITLES = {"search": "Proxy search", "finetune": "Fine-tuning", "transfer": "Transfer"}
KEYS = ["stage", "dataset", "method", "seed"]
"""The columns that name a run."""
ORDER = ["stage", "dataset", "seed", "method"]
"""How runs are sorted: panels in the order of the stages, seeds in theirs."""


def run_folder(path: Path) -> Path:
    """The folder of a run, given as itself or as a file inside it; a missing path with no suffix is a folder."""
    return path.parent if path.suffix and not path.is_dir() else path


def _epochs(path: Path) -> pd.DataFrame:
    try:
        rows = pd.read_json(path, lines=True, dtype=False, precise_float=True)
        epochs = rows[rows["event"] == "epoch"]
    except (OSError, ValueError, KeyError) as error:
        raise UserError(f"{path}: metrics cannot be read ({error}); run the stage that writes it again") from error
    if epochs.empty:
        raise UserError(f"{path}: no epoch was recorded; run the stage that writes it again")
    return epochs


def base_method(result: Result) -> str:
    """The method behind a search's method or variant; older results name none."""
    return str(result["provenance"]["settings"].get("method", result["method"]))


def read_run(path: Path) -> pd.DataFrame:
    """Epoch rows of one search, the one before training (epoch 0) included, with `KEYS`.

    Beside them the title of its `panel`, the method `base` behind it, and whether it `continues` another search's π.

    Raises:
        UserError: a file of it is missing or damaged, or it is no search.
    """
    folder = run_folder(path)
    result = read_results([folder / "result.json"])[0]
    if result["kind"] != "search":
        raise UserError(f"{folder}: not the folder of a search, but of {result['kind']}; give a folder that holds π")
    common = {key: result[key] for key in KEYS}
    common |= {"base": base_method(result), "continues": result["parent"] is not None}
    return _epochs(folder / "metrics.jsonl").assign(**common, panel=f"{TITLES[result['stage']]}, {result['dataset']}")


def read_runs(paths: Iterable[Path]) -> pd.DataFrame:
    """Epoch rows of all runs, sorted by `ORDER` and epoch; each run once.

    Raises:
        UserError: no run was given, one cannot be read, or two are of one search.
    """
    runs = [read_run(folder) for folder in dict.fromkeys(run_folder(path) for path in paths)]
    if not runs:
        raise UserError("the figure needs at least one run folder; give those of the searches")
    rows = pd.concat(runs)
    if rows.duplicated([*KEYS, "epoch"]).any():
        raise UserError("two folders of one search were given; give those of one run only")
    stages = pd.Categorical(rows["stage"], SEARCH_STAGES)
    return rows.assign(stage=stages).sort_values([*ORDER, "epoch"], ignore_index=True)


def run_title(path: Path) -> str:
    """`PARSEC, proxy search on digits, seed 0` of the search that wrote a file; else the name of the file."""
    document = run_folder(path) / "result.json"
    if not document.is_file():
        return path.name
    result = read_results([document])[0]
    name = display_name(result["method"], base_method(result))
    return f"{name}, {TITLES[result['stage']].lower()} on {result['dataset']}, seed {result['seed']}"


def read_trajectory(path: Path) -> pd.DataFrame:
    """Rows of `trajectory.parquet` in the folder of a run, in the order of the file."""
    file = run_folder(path) / "trajectory.parquet"
    columns = ["epoch", "step", "cell", "node", "slot", "factor", "choice", "probability"]
    try:
        rows = pd.read_parquet(file, columns=columns)
    except (OSError, pa.ArrowException) as error:
        raise UserError(f"{file}: truncated or not a trajectory of π; run the stage that writes it again") from error
    if rows.empty:
        raise UserError(f"{file}: the trajectory of π is empty; run the stage that writes it again")
    return rows
