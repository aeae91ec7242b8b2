"""The stage `kernels`: kernels of networks by trained accuracy, as NASWOT's figure 1 shows them."""

from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from parsec.config.base import seed_of
from parsec.config.zero_cost import KernelsJob, ScoreJob
from parsec.data.dataset import read_info
from parsec.errors import SettingsError
from parsec.records.parquet import KERNEL_FIELDS, KERNELS_FILE
from parsec.records.provenance import provenance, start_provenance
from parsec.runtime.device import acquire_gpu, resolve, set_deterministic
from parsec.runtime.logs import logger
from parsec.runtime.outputs import check_file, parquet_signature
from parsec.space.nasbench201 import architectures
from parsec.tabular.nasbench201 import read_report_columns
from parsec.zero_cost.score import Scoring, minibatch


def kernels(job: KernelsJob, data: Path, benchmark: Path, seed: int, output: Path) -> None:
    """Write the kernels of networks drawn from bins of accuracy to the file `output`.

    The choice reads test accuracies, so that nothing may be chosen by these kernels.

    Raises:
        UserError: a mistake that the user can fix; see its subclasses.
    """
    run_start = start_provenance("parsec.zero_cost.kernel_matrices")
    check_file(output, parquet_signature(KERNEL_FIELDS.names))
    set_deterministic(job.compute.deterministic)
    info = read_info(data, job.dataset)
    chosen = list(_chosen(job, read_report_columns(benchmark).test["cifar10"], seed))
    scored = ScoreJob(
        space=job.space, dataset=job.dataset, architectures=len(chosen), score=job.score, compute=job.compute
    )
    with acquire_gpu(resolve(job.compute.device)) as device:
        images = minibatch(scored, data, info, seed, device)
        scoring, rows = Scoring(scored, seed, [], images), []
        for done, row in enumerate(chosen, 1):
            matrix = scoring.matrix(architectures()[row["index"]], row["index"])
            rows.append({**row, "kernel": (matrix / matrix[0, 0]).ravel()})
            logger.info("kernels %d/%d", done, len(chosen))
    KERNELS_FILE.write(output, rows, {"seed": seed, "provenance": provenance(job, run_start, info)})


def _chosen(job: KernelsJob, accuracies: NDArray[np.float64], seed: int) -> Iterator[dict[str, Any]]:
    """Networks of every bin, by rising accuracy."""
    rng = np.random.default_rng(seed_of(seed, "kernels"))
    for low, high in pairwise(job.edges):
        inside = np.flatnonzero((accuracies >= low) & (accuracies < high))
        if len(inside) < job.networks:
            raise SettingsError(
                f"edges: from {low:g} to {high:g} % are {len(inside)} networks; allowed: {job.networks} or more"
            )
        drawn = rng.choice(inside, job.networks, replace=False)
        for index in sorted(drawn.tolist(), key=lambda position: float(accuracies[position])):
            yield {"low": low, "high": high, "index": index, "accuracy": float(accuracies[index])}
