"""Published results: cited tables under `config/published`, read as text so that they print as they were printed."""

from pathlib import Path

import pandas as pd

from parsec.errors import UserError

PROTOCOLS = "protocols.csv"
FAMILIES = ("gradient-based", "evolution", "RL", "SMBO", "hypernetwork", "training-free", "random", "manual")
"""Search methods in the order in which tables list them; others follow after `training-free`."""


def default_folder() -> Path:
    """The cited tables of the source tree, or of the working directory where the package is installed."""
    inside = Path(__file__).resolve().parents[2] / "config" / "published"
    return inside if inside.is_dir() else Path("config") / "published"


def read_rows(path: Path) -> pd.DataFrame:
    """Rows of one CSV, every value as the text that it is.

    Raises:
        UserError: the file is missing or not a table.
    """
    try:
        rows = pd.read_csv(path, dtype=str, keep_default_na=False)
    except (OSError, ValueError) as error:
        reason = str(error).strip()
        raise UserError(f"{path}: published table cannot be read ({reason}); restore config/published") from error
    if rows.empty:
        raise UserError(f"{path}: the published table has no rows; restore config/published")
    return rows


def published_rows(table: str, folder: Path | None = None) -> pd.DataFrame:
    """Rows of a published table: PARSEC's first, then by kind of method, best first.

    Raises:
        UserError: no such table, or a damaged one.
    """
    path = (folder or default_folder()) / f"{table}.csv"
    rows = read_rows(path)
    try:
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
    path = (folder or default_folder()) / PROTOCOLS
    for row in read_rows(path).to_dict("records"):
        if row.get("table") == table:
            return dict(row)
    raise UserError(f"{path}: no protocol of the table {table!r}; add a row for it")
