"""Published results: cited tables under `config/published`, read as text so that they print as they were printed."""

import csv
from pathlib import Path

from parsec.errors import UserError

PROTOCOLS = "protocols.csv"
FAMILIES = ("gradient-based", "evolution", "RL", "SMBO", "hypernetwork", "training-free", "random", "manual")
"""Search methods in the order in which tables list them; others follow after `training-free`."""


def default_folder() -> Path:
    """The cited tables of the source tree, or of the working directory where the package is installed."""
    inside = Path(__file__).resolve().parents[2] / "config" / "published"
    return inside if inside.is_dir() else Path("config") / "published"


def read_rows(path: Path) -> list[dict[str, str]]:
    """Rows of one CSV, every value as the text that it is.

    Raises:
        UserError: the file is missing or not a table.
    """
    try:
        with path.open(encoding="utf-8", newline="") as file:
            rows = list(csv.DictReader(file, restkey="", restval=""))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise UserError(f"{path}: published table cannot be read ({error}); restore config/published") from error
    if not rows:
        raise UserError(f"{path}: the published table has no rows; restore config/published")
    return rows


def _order(row: dict[str, str]) -> tuple[bool, int, float]:
    family = row["search_method"]
    rank = FAMILIES.index(family) if family in FAMILIES else FAMILIES.index("training-free")
    ours = row["architecture"].startswith("PARSEC")
    return (not ours, 0 if ours else rank, 0.0 if ours else float(row["top1_error"]))


def published_rows(table: str, folder: Path | None = None) -> list[dict[str, str]]:
    """Rows of a published table: PARSEC's first, then by kind of method, best first.

    Raises:
        UserError: no such table, or a damaged one.
    """
    path = (folder or default_folder()) / f"{table}.csv"
    try:
        return sorted(read_rows(path), key=_order)
    except (KeyError, ValueError) as error:
        raise UserError(f"{path}: not a published table ({error}); restore config/published") from error


def protocol(table: str, folder: Path | None = None) -> dict[str, str]:
    """Network, epochs and data set behind the published rows.

    Raises:
        UserError: the table has no protocol.
    """
    path = (folder or default_folder()) / PROTOCOLS
    for row in read_rows(path):
        if row.get("table") == table:
            return row
    raise UserError(f"{path}: no protocol of the table {table!r}; add a row for it")
