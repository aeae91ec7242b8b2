"""Published numbers of NASWOT and of what it was compared with: `config/published/naswot.csv`."""

from pathlib import Path

import pandas as pd

from parsec.report.published import default_folder, read_rows

FIRST_TRAIN, FIRST_EVAL, ICML = "arXiv-v1 code (tag v1.0, no eval())", "arXiv-v1 paper (code with eval())", "ICML2021"
"""Versions of the paper; the first one's numbers exist with batch norm in train and in eval mode."""


def naswot_rows(space: str, folder: Path | None = None, **equal: str) -> pd.DataFrame:
    """Published rows of a search space whose columns have the given values; all values are text, as printed.

    Raises:
        UserError: the table is missing or damaged.
    """
    rows = read_rows((folder or default_folder()) / "naswot.csv")
    for name, value in {"search_space": space, **equal}.items():
        rows = rows[rows[name] == value]
    return rows.reset_index(drop=True)
