"""Settings of bringing a tabular benchmark from its authors' files into a table."""

from typing import Literal

from pydantic import Field

from parsec.settings.base import Strict


class ImportJob(Strict):
    """Importing one benchmark."""

    benchmark: Literal["nasbench101", "nasbench201"] = Field(
        description="`nasbench101`: from nasbench_only108.tfrecord; `nasbench201`: from NATS-tss-v1_0-3ffb9-simple"
    )
