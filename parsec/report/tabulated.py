"""What a table of a study is made of."""

from typing import NamedTuple

import pandas as pd

from parsec.report.render import Table


class Tabulated(NamedTuple):
    """A table as it is printed, and its numbers with all their digits, which become the CSV."""

    table: Table
    numbers: pd.DataFrame
