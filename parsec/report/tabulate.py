"""Tables of studies by name; each is a function of the files that a study wrote."""

from collections.abc import Callable, Sequence
from pathlib import Path

from parsec.errors import UserError
from parsec.report.predictor import chosen, claims, gains
from parsec.report.render import latex, markdown
from parsec.report.tabulated import Tabulated
from parsec.runtime.files import write_atomic

TABLES: dict[str, Callable[[Sequence[Path]], Tabulated]] = {
    "predictor": gains.tabulate,
    "predictor-claims": claims.tabulate,
    "predictor-chosen": chosen.tabulate,
}


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
