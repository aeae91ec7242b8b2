"""Memory and time of a search step against K, beside those of training one of its children alone and of DARTS."""

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import torch

from parsec.bench.memory import held
from parsec.bench.rounds import Step, in_turn, stopwatch_for
from parsec.bench.workload import SEED, Workload
from parsec.data.augment import Augment
from parsec.data.dataset import open_part, read_info
from parsec.data.loader import open_images
from parsec.data.order import epoch_order
from parsec.prior.children import Children
from parsec.prior.distribution import Prior
from parsec.records.provenance import begin, provenance
from parsec.records.results import write_json
from parsec.runtime.device import device_name, lease, memory_format, resolve, set_deterministic
from parsec.runtime.draws import Draws
from parsec.runtime.logs import logger
from parsec.runtime.outputs import check_file
from parsec.runtime.randomness import generator
from parsec.settings.compute import Compute
from parsec.settings.jobs import MeasureJob

ALONE = "one child trained alone"
SEARCH = "search step"
DARTS = "DARTS supernet"


class Setting(NamedTuple):
    """One line of the measurement."""

    name: str
    executor: str
    samples: int
    """K."""
    build: Callable[[], Step]


def _workload(job: MeasureJob, data: Path, device: torch.device) -> Workload:
    """The first training batch, and as many children as the largest K needs."""
    info = read_info(data)
    augment = Augment(job.augmentation, info, memory_format(job.compute.layout))
    part = open_images(open_part(data, "train", job.train_images), device, SEED)
    order = epoch_order(len(part), job.batch_size, SEED, "training order", 0)
    draws = Draws(generator(SEED, "training augmentation", device=device))
    images, labels = part.train(order[0], augment, draws, 0)
    prior = Prior(job.prior)
    table = prior.children(prior.sample(max(job.measure.samples), generator(SEED, "architectures"))).table
    return Workload(job.network, len(info.classes), images, labels, Children(table.to(device)), job.compute.precision)


def _settings(job: MeasureJob, load: Workload) -> list[Setting]:
    """The hungriest child alone, because the search runs them all; every K; and DARTS' supernet, whole iteration."""
    layout = memory_format(job.compute.layout)
    alone = [partial(load.alone, child, layout) for child in load.children.genotypes]
    hungriest = max(alone, key=lambda build: held(build, load.device))
    settings = [Setting(ALONE, "one", 1, hungriest)]
    for compute in _computes(job.compute, load.device):
        for samples in job.measure.samples:
            few = load.first(samples)
            settings.append(Setting(SEARCH, compute.executor, samples, partial(few.search_step, compute)))
    return [*settings, Setting(DARTS, "darts", 1, partial(load.darts, layout))]


def _computes(compute: Compute, device: torch.device) -> list[Compute]:
    """Every executor that is made for the device, with as many children in flight as the settings allow."""
    every = compute.model_copy(update={"skip_negligible": False})
    names = ("one", "stacked", "table") if device.type == "cuda" else ("one", "stacked")
    return [every.model_copy(update={"executor": name}) for name in names]


def _rows(settings: list[Setting], repeats: int, device: torch.device) -> list[dict[str, Any]]:
    """Peak memory of building and running every step, and its time, all in turn after one run that warms up."""
    steps = {f"{s.name}, {s.executor}, K = {s.samples}": s.build() for s in settings}
    stopwatch = stopwatch_for(device)
    in_turn(steps, 1, stopwatch)
    times = in_turn(steps, repeats, stopwatch)
    rows = []
    for setting, (name, time) in zip(settings, times.items(), strict=True):
        peak = held(setting.build, device)
        logger.info("measured %s: %.3f s, %.1f MB", name, time.median, peak / 1e6)
        rows.append(
            {
                "setting": setting.name,
                "executor": setting.executor,
                "samples": setting.samples,
                "seconds": time.median,
                "seconds_spread": list(time.spread),
                "peak_bytes": peak,
            }
        )
    return rows


def measure(job: MeasureJob, data: Path, output: Path) -> None:
    """Measure the search step of a stage for every K of the settings and write the rows as JSON."""
    beginning = begin("parsec.search.measure")
    check_file(output, "json measure")
    set_deterministic(job.compute.deterministic)
    with lease(resolve(job.compute.device)) as device:
        load = _workload(job, data, device)
        document = {
            "kind": "measure",
            "stage": job.stage,
            "network": job.network.model_dump(),
            "batch_size": job.batch_size,
            "image_size": load.images.shape[-1],
            "device": device_name(device),
            "rows": _rows(_settings(job, load), job.measure.repeats, device),
            "provenance": provenance(job, beginning, read_info(data)),
        }
    write_json(output, document)
