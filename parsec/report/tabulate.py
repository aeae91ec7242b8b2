"""Tables of studies by name; each is a function of the files that a study wrote."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

import pandas as pd

from parsec.errors import UserError
from parsec.report import found
from parsec.report.render import Table, latex, markdown
from parsec.runtime.files import write_atomic


class Tabulated(NamedTuple):
    """A table as it is printed, and its numbers with all their digits, which become the CSV."""

    table: Table
    numbers: pd.DataFrame


def _tabulated(make: Callable[[Sequence[Path]], tuple[Table, pd.DataFrame]]) -> Callable[[Sequence[Path]], Tabulated]:
    return lambda inputs: Tabulated(*make(inputs))


TABLES: dict[str, Callable[[Sequence[Path]], Tabulated]] = {"nasbench201-found": _tabulated(found.tabulate)}


def tabulate(name: str, inputs: Sequence[Path], output: Path) -> None:
    """Write a table as `output`.csv, .md and .tex.

    Raises:
        UserError: no table of this name, or a file that cannot be read.
    """
    if name not in TABLES:
        raise UserError(f"tabulate: no table {name!r}; there are {', '.join(TABLES)}")
    table, numbers = TABLES[name](inputs)
    write_atomic(output.with_name(output.name + ".csv"), numbers.to_csv(index=False))
    write_atomic(output.with_name(output.name + ".md"), markdown(table))
    write_atomic(output.with_name(output.name + ".tex"), latex(table))
