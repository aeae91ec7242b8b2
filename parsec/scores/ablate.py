"""The stage `ablate`: from a prepared data set to `ablation.parquet`."""

import json
from pathlib import Path

from parsec.data.dataset import read_info
from parsec.errors import DatasetError
from parsec.records.provenance import begin, provenance
from parsec.records.results import cost
from parsec.runtime import loop
from parsec.runtime.device import lease, resolve, set_deterministic
from parsec.scores.ablated import write_ablation
from parsec.scores.ablation import Ablation
from parsec.scores.run import minibatch
from parsec.scores.spaces import NasBench201Pool
from parsec.settings.ablation import AblationJob
from parsec.settings.jobs import fingerprint
from parsec.settings.tree import Running


def ablate(job: AblationJob, data: Path, seed: int, output: Path, state: Path, running: Running) -> None:
    """Score under all conditions and write `ablation.parquet` into `output`; `state` keeps the run resumable.

    Raises:
        UserError: anything the user can mend; see its subclasses.
    """
    beginning = begin("parsec.scores.ablate")
    set_deterministic(job.compute.deterministic)
    info = read_info(data)
    if info.name != job.dataset:
        raise DatasetError(f"{data}: holds {info.name}, but the settings want {job.dataset}; give its folder")
    identity = f"{fingerprint(job)}-seed{seed}-{info.content_hash[:16]}"
    with lease(resolve(job.compute.device)) as device:
        indices = NasBench201Pool().indices(job.networks, seed)
        task = Ablation(job, seed, indices, lambda one, number: minibatch(one, data, info, number, device))
        spent = loop.run(task, state, identity, running, f"ablate {info.name}/seed{seed}", device, beginning.code)
        about = {"seed": seed, "cost": cost(spent, device), "provenance": provenance(job, beginning, info)}
    lines = (state / loop.METRICS).read_text(encoding="utf-8").splitlines()
    write_ablation(output / "ablation.parquet", [json.loads(line) for line in lines], about)
    loop.finish(state)
