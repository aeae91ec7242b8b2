"""The stage `ablate`: from a prepared data set to `ablation.parquet`."""

from pathlib import Path

from parsec.data.dataset import read_info
from parsec.records.provenance import begin, provenance
from parsec.records.results import cost
from parsec.runtime import finished, loop
from parsec.runtime.device import lease, resolve, set_deterministic
from parsec.runtime.store import read_metrics
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
    run = f"ablate {job.dataset}/seed{seed}"
    places = finished.Places(state, output, ("ablation.parquet",), run)
    places.check(data=data)
    set_deterministic(job.compute.deterministic)
    info = read_info(data, job.dataset)
    identity = f"{fingerprint(job)}-seed{seed}-{info.content_hash[:16]}"
    stands_for = {**job.model_dump(mode="json"), "seed": seed, "images": info.content_hash}
    with finished.claimed(places, beginning.code) as ending, lease(resolve(job.compute.device)) as device:
        ending.begin(identity, stands_for)
        indices = NasBench201Pool().indices(job.networks, seed)
        task = Ablation(job, seed, indices, lambda one, number: minibatch(one, data, info, number, device))
        spent = loop.run(task, state, identity, running, run, device, beginning.code)
        about = {"seed": seed, "cost": cost(spent, device), "provenance": provenance(job, beginning, info)}
        ending.open_output()
        write_ablation(output / "ablation.parquet", read_metrics(state), about)
        ending.finish(identity)
