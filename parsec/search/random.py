"""Random search: each architecture trained alone, or all with shared weights (Li and Talwalkar, UAI 2019)."""

from functools import partial
from typing import Any

import torch
from torch import Tensor

from parsec.network.spaces import shared_weights
from parsec.runtime.device import autocast
from parsec.runtime.optim import learning_rate, sgd
from parsec.runtime.rng import generator
from parsec.search.base import Batch, Metrics, SearchTask, SearchTrainer
from parsec.search.executors.base import summed_cross_entropy
from parsec.search.executors.sequential import SequentialExecutor
from parsec.search.ranking import ranked_architectures
from parsec.space.spaces import Architecture


class SamplingTrainer(SearchTrainer):
    """Trains weights v on architectures sampled from a fixed prior, and keeps the best one by validation accuracy."""

    def __init__(self, task: SearchTask) -> None:
        super().__init__(task)
        self.prior = task.prior.to("cpu")
        self.best: Architecture | None = None
        self.best_accuracy = 0.0
        self.reset_weights("shared weights")

    def reset_weights(self, *stream: str | int) -> None:
        """Initialise v from the named random stream, with a new optimizer."""
        task, start = self.task, generator(self.task.seed, *stream)
        self.supernet = shared_weights(task.prior.space, self.settings.network, task.classes, start, task.device)
        self.executor = SequentialExecutor(self.supernet, partial(autocast, task.device, task.job.compute.precision))
        self.weight_optimizer = sgd([self.supernet.weights.flat], self.settings.weights)

    def sample(self, rng: torch.Generator) -> Architecture:
        """One architecture from the prior."""
        sampled: Architecture = self.prior.children(self.prior.sample(1, rng)).genotypes[0]
        return sampled

    def weight_step(self, child: Architecture, batch: Batch, rate: float) -> Tensor:
        """One SGD step of v on one architecture; the mean loss per image, 0-d, float64."""
        images, labels = batch
        self.children += 1
        self.supernet.weights.gradient.zero_()
        loss = summed_cross_entropy(self.logits(child, images), labels) / len(labels)
        loss.backward()
        self.step_weights(rate)
        return loss.detach()

    def evaluate_candidate(self, child: Architecture) -> Metrics:
        """Measure validation accuracy with the present weights; keep the best, the first of equals."""
        self.children += 1
        accuracy = super().accuracy(child)
        if self.best is None or accuracy > self.best_accuracy:
            self.best, self.best_accuracy = child, accuracy
        return {"candidate_accuracy": accuracy, "best_accuracy": self.best_accuracy}

    @property
    def has_selection(self) -> bool:
        """Whether any candidate was evaluated."""
        return self.best is not None

    def genotype(self) -> Architecture:
        """The best architecture so far; before any was evaluated a random one, always the same."""
        return self.best or self.sample(generator(self.task.seed, "first child"))

    def progress_suffix(self, latest: Metrics) -> str:
        """Best accuracy so far."""
        return f"best accuracy {100 * self.best_accuracy:.1f} %  " if self.best else ""

    def state_dict(self) -> dict[str, Any]:
        """The state of training, and the best architecture."""
        best = None if self.best is None else self.prior.space.encode(self.best, "separate")
        return super().state_dict() | {"best": best, "best_accuracy": self.best_accuracy}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continue exactly where `state_dict` was taken."""
        super().load_state_dict(state)
        best, self.best_accuracy = state["best"], state["best_accuracy"]
        self.best = None if best is None else self.prior.space.decode(best, "separate")


class RandomSearch(SamplingTrainer):
    """Random search without weight sharing: architectures are trained from scratch one after another.

    They are trained in the search network and evaluated with batch statistics, as those of every other method are; the
    networks of `retrain` are larger, and keep running statistics. An epoch is one epoch of one architecture.
    """

    selection = (
        "the best on the validation split, with batch statistics, of `random.architectures` samples of the prior (with "
        "`random.ranked`, of the sample of `ranking`), each trained alone in the search network for `random.epochs` "
        "epochs on the training split; no test image was read"
    )
    shares_weights = False
    child: Architecture | None = None
    """The architecture that is being trained."""

    def __init__(self, task: SearchTask) -> None:
        super().__init__(task)
        self.ranked = ranked_architectures(self.settings, self.prior.space) if self.settings.random.ranked else None
        self.ranked_accuracies = None if self.ranked is None else []

    @property
    def epochs(self) -> int:
        """Epochs to do, of all architectures together."""
        count = self.settings.random.architectures if self.ranked is None else len(self.ranked)
        return count * self.settings.random.epochs

    @property
    def can_stop(self) -> bool:
        """Whether any architecture was evaluated: before that there is nothing to select."""
        return self.has_selection

    @property
    def forward_images(self) -> int:
        """Images × architectures passed forward so far, including those of the evaluation of candidates."""
        evaluated = self.epoch // self.settings.random.epochs
        return (self.children - evaluated) * self.settings.batch_size + evaluated * len(self.task.validation)

    def train_step(self, epoch: int) -> Metrics:
        """One step of the present architecture; the first of its steps samples it, the last evaluates it."""
        number, epoch_within = divmod(epoch, self.settings.random.epochs)
        steps = self.settings.random.epochs * self.batches.per_epoch
        if self.step % steps == 0:
            self.child = self.ranked[number] if self.ranked else self.sample(self.streams.cpu("architectures"))
            self.reset_weights("weights of an architecture", number)
        assert self.child is not None
        rate = learning_rate(self.settings.weights, epoch_within, self.settings.random.epochs)
        loss = self.weight_step(self.child, self.batches.training(self.step), rate)
        metrics = {"learning_rate": rate, "train_loss": loss}
        if (self.step + 1) % steps == 0:
            judged = self.evaluate_candidate(self.child)
            if self.ranked_accuracies is not None:
                self.ranked_accuracies.append(judged["candidate_accuracy"])
            metrics |= judged
        return metrics

    def accuracy(self, child: Architecture) -> float:
        """Accuracy in [0, 1] on the validation split: of the best architecture with the weights it was trained to.

        Others get what the present weights give them, which were not trained for them.
        """
        return self.best_accuracy if child == self.best else super().accuracy(child)

    def state_dict(self) -> dict[str, Any]:
        """The state of training, and the architecture that the weights belong to."""
        child = None if self.child is None else self.prior.space.encode(self.child, "separate")
        return super().state_dict() | {"child": child, "ranked_accuracies": self.ranked_accuracies}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continue exactly where `state_dict` was taken."""
        super().load_state_dict(state)
        self.ranked_accuracies = state["ranked_accuracies"]
        self.child = None if state["child"] is None else self.prior.space.decode(state["child"], "separate")


class RandomShared(SamplingTrainer):
    """Random search with shared weights: train v, judge candidates with it, compare the best (Li and Talwalkar's code).

    A candidate is judged on the next minibatches of shuffled passes over the validation split, so that candidates see
    different ones. Judging and comparing are one more epoch after the last.
    """

    selection = (
        "the best on the validation split, with shared weights, of the `random.finalists` that were best on "
        "`random.minibatches` validation batches among `random.candidates` samples of the prior; v saw the training "
        "split, and no test image was read"
    )

    def __init__(self, task: SearchTask) -> None:
        super().__init__(task)
        self.leaders: list[tuple[float, Architecture]] = []
        """The finalists so far with their accuracies on minibatches, best first, the earlier of equals first."""

    @staticmethod
    def _minibatches(task: SearchTask) -> int:
        """Validation batches that judge a candidate."""
        settings = task.job.settings
        return min(settings.random.minibatches, len(task.validation) // settings.batch_size)

    @classmethod
    def selection_images(cls, task: SearchTask) -> int:
        """Minibatches for every candidate, and the validation split for every finalist."""
        random = task.job.settings.random
        judged = random.candidates * cls._minibatches(task) * task.job.settings.batch_size
        return judged + min(random.finalists, random.candidates) * len(task.validation)

    @property
    def _training_steps(self) -> int:
        return self.settings.epochs * self.batches.per_epoch if self._last_step is None else self._last_step

    @property
    def epochs(self) -> int:
        """Epochs to do, including that of the selection."""
        return self._training_steps // self.batches.per_epoch + 1

    @property
    def total_steps(self) -> int:
        """Steps to do: of training, one per candidate, and one per finalist."""
        random = self.settings.random
        return self._training_steps + random.candidates + min(random.finalists, random.candidates)

    @property
    def epoch(self) -> int:
        """Epochs that are complete."""
        if self.step < self._training_steps:
            return self.step // self.batches.per_epoch
        return self._training_steps // self.batches.per_epoch + (self.step == self.total_steps)

    @property
    def forward_images(self) -> int:
        """Images × architectures passed forward so far, including those of the selection."""
        after = max(self.step - self._training_steps, 0)
        judged = min(after, self.settings.random.candidates)
        batches = self.step - after + judged * self._minibatches(self.task)
        return batches * self.settings.batch_size + (after - judged) * len(self.task.validation)

    def train_step(self, epoch: int) -> Metrics:
        """A step of v on one sampled architecture, the judgement of one candidate, or the evaluation of a finalist."""
        number = self.step - self._training_steps
        if number >= self.settings.random.candidates:
            return self.evaluate_candidate(self.leaders[number - self.settings.random.candidates][1])
        if number >= 0:
            return self.judge_candidate(self.sample(self.streams.cpu("candidates")), number)
        rate, child = self._rate(epoch), self.sample(self.streams.cpu("architectures"))
        return {"learning_rate": rate, "train_loss": self.weight_step(child, self.batches.training(self.step), rate)}

    def judge_candidate(self, child: Architecture, number: int) -> Metrics:
        """Measure the accuracy of a candidate, counted from 0, on its minibatches; rank it among the finalists."""
        self.children += 1
        accuracy = self.accuracy_on(child, self.batches.some_validation(number, self._minibatches(self.task)))
        ranked = sorted([*self.leaders, (accuracy, child)], key=lambda leader: -leader[0])
        self.leaders = ranked[: self.settings.random.finalists]
        return {"minibatch_accuracy": accuracy}

    def state_dict(self) -> dict[str, Any]:
        """The state of training, and the finalists so far."""
        leaders = [(accuracy, self.prior.space.encode(child, "separate")) for accuracy, child in self.leaders]
        return super().state_dict() | {"leaders": leaders}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continue exactly where `state_dict` was taken."""
        super().load_state_dict(state)
        self.leaders = [(accuracy, self.prior.space.decode(child, "separate")) for accuracy, child in state["leaders"]]
