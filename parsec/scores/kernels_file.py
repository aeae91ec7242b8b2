"""`kernels.parquet`: one row a network, its kernel, and where it comes from."""

import pyarrow as pa

from parsec.records.rows import RowsFile

FIELDS = pa.schema(
    [
        pa.field("low", pa.float64(), nullable=False),
        pa.field("high", pa.float64(), nullable=False),
        pa.field("index", pa.int32(), nullable=False),
        pa.field("accuracy", pa.float64(), nullable=False),
        pa.field("kernel", pa.list_(pa.float32()), nullable=False),
    ]
)
"""Ends of the bin and accuracy in percent; the kernel [N, N] row by row, its diagonal 1."""
FILE = RowsFile(FIELDS, "kernels", "kernels")
