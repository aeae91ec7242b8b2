"""Memory of every search method against the depth of its network."""

from pathlib import Path
from typing import Any

import torch

from parsec.data.dataset import DatasetInfo, read_info
from parsec.prior.distribution import Prior
from parsec.records.provenance import begin, provenance
from parsec.records.results import write_json
from parsec.runtime.device import device_name, lease, resolve, set_deterministic
from parsec.runtime.logs import logger
from parsec.runtime.memory import peak_bytes
from parsec.runtime.outputs import check_file
from parsec.search.methods import METHODS
from parsec.search.run import make_task
from parsec.settings.jobs import DepthsJob, SearchJob
from parsec.space.spaces import SPACES

SEED = 0
STEPS = 3
"""Steps of a measurement: children differ, and the hungriest of them counts."""


def measure_depths(job: DepthsJob, data: Path, output: Path) -> None:
    """Measure the most bytes of tensors at once while a search starts and takes a few steps; write the rows as JSON.

    Weights, gradients, optimisers, maps and a batch of each half count.

    Raises:
        DatasetError: the data set is missing, damaged or smaller than a batch.
    """
    beginning, info = begin("parsec.search.depths"), read_info(data)
    check_file(output, "json depths")
    compute = job.methods[0].compute
    set_deterministic(compute.deterministic)
    with lease(resolve(compute.device)) as device:
        rows = [_row(each, cells, data, info, device) for each in _contenders(job) for cells in job.depths]
        document = {
            "kind": "depths",
            "device": device_name(device),
            "rows": rows,
            "provenance": provenance(job, beginning, info),
        }
    write_json(output, document)


def _contenders(job: DepthsJob) -> list[SearchJob]:
    """PARSEC one child after another, as it is published, and as the settings run it; the others as they are.

    On NAS-Bench-201 there is but one way to run it.
    """
    found = []
    for each in job.methods:
        if each.method == "parsec":
            found.append(each.model_copy(update={"compute": each.compute.model_copy(update={"executor": "one"})}))
        if each.method != "parsec" or (each.compute.executor != "one" and each.space == "darts"):
            found.append(each)
    return found


def _row(job: SearchJob, cells: int, data: Path, info: DatasetInfo, device: torch.device) -> dict[str, Any]:
    network = job.settings.network.model_copy(update={"cells": cells})
    deep = job.model_copy(update={"settings": job.settings.model_copy(update={"network": network})})
    peak = peak_bytes(lambda: _run(deep, data, info, device), device)
    logger.info("measured %s, %d cells: %.1f MB", job.method, cells, peak / 1e6)
    return {"method": job.method, "executor": job.compute.executor, "cells": cells, "peak_bytes": peak}


def _run(job: SearchJob, data: Path, info: DatasetInfo, device: torch.device) -> None:
    prior = Prior(job.prior, space=SPACES[job.space])
    method = METHODS[job.method](make_task(job, data, info, SEED, prior, device))
    for _ in range(STEPS):
        method.advance()
