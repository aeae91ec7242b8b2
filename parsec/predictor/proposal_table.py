"""`proposal.parquet`: how evenly the children of every proposal weigh, and where that was measured."""

import pyarrow as pa

from parsec.records.rows import RowsFile

FIELDS = pa.schema(
    [
        pa.field("prior", pa.string(), nullable=False),
        pa.field("entropy", pa.float64(), nullable=False),
        pa.field("images", pa.int32(), nullable=False),
        pa.field("trained", pa.int32(), nullable=False),
        pa.field("beta", pa.float64(), nullable=False),
        pa.field("defence", pa.float64(), nullable=False),
        pa.field("samples", pa.int32(), nullable=False),
        pa.field("repeat", pa.int32(), nullable=False),
        pa.field("share", pa.float64(), nullable=False),
        pa.field("limit", pa.float64(), nullable=False),
        pa.field("error", pa.float64(), nullable=False),
    ]
)
"""`share`: effective sample size by K; `limit`: the same as K grows, exactly; `error`: squared distance of the
estimated gradient of log p(y|π) with respect to the logits from the exact one. `entropy` is that of π in nats."""
FILE = RowsFile(FIELDS, "proposals", "propose")
