"""A full iteration of PARSEC, by the trainer's own two updates, without reading images: the method alone is timed."""

from parsec.bench.images import random_images, random_info
from parsec.bench.workload import SEED, Workload
from parsec.data.augment import Augment
from parsec.prior.distribution import Prior
from parsec.runtime.device import memory_format
from parsec.runtime.randomness import Streams
from parsec.search.task import SearchTask
from parsec.search.updates import Updates
from parsec.settings.compute import Compute
from parsec.settings.jobs import SearchJob
from parsec.settings.search import Estimator, SearchStage
from parsec.settings.search import Prior as Form


class Iteration:
    """A π-step and a v-step with K fresh children each, from a uniform π; both on the workload's images."""

    def __init__(self, workload: Workload, compute: Compute, samples: int) -> None:
        self.batch = workload.images, workload.labels
        task = _task(workload, compute, samples)
        self.learning_rate = task.job.settings.weights.learning_rate
        self.updates = Updates(task, Streams(SEED, workload.device))

    def __call__(self) -> None:
        """One iteration."""
        self.updates.of_prior(self.batch)
        self.updates.of_weights(self.batch, self.learning_rate)


def _task(workload: Workload, compute: Compute, samples: int) -> SearchTask:
    """A search in DARTS' settings of this network; a batch is all the data that it has."""
    count, side = len(workload.images), workload.images.shape[-1]
    stage = SearchStage(
        dataset="random",
        network=workload.network,
        epochs=1,
        batch_size=count,
        estimator=Estimator(samples=samples),
    )
    images = random_images(count, side, workload.device)
    return SearchTask(
        job=SearchJob(stage="search", space="darts", method="parsec", prior=Form(), settings=stage, compute=compute),
        seed=SEED,
        train=images,
        validation=images,
        augment=Augment(stage.augmentation, random_info(side), memory_format(compute.layout)),
        classes=workload.classes,
        prior=Prior(Form()),
        device=workload.device,
    )
