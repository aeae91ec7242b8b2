"""Tables that are made from files: how a function that tabulates becomes the writer of three files."""

from collections.abc import Callable
from functools import wraps
from pathlib import Path
from typing import NamedTuple

import pandas as pd

from parsec.report.render import Table, latex, markdown
from parsec.runtime.outputs import write_outputs


class Tabulated(NamedTuple):
    """A table as it is printed, and its numbers unrounded."""

    table: Table
    data: pd.DataFrame


def as_files(tabulate: Callable[[list[Path]], Tabulated]) -> Callable[[list[Path], Path], None]:
    """Make a function that tabulates write `<output>.csv`, `.md` and `.tex`."""

    @wraps(tabulate)
    def write(inputs: list[Path], output: Path) -> None:
        table, data = tabulate([Path(path) for path in inputs])
        texts = {"csv": data.to_csv(index=False), "md": markdown(table), "tex": latex(table)}
        write_outputs({output.with_name(f"{output.name}.{kind}"): text for kind, text in texts.items()})

    return write
