"""Proposals by a predictor: architectures sampled from a tilted π and weighted back to it."""

import hashlib
import itertools
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from parsec.config.base import Running, fingerprint
from parsec.config.tabular import ProposalJob
from parsec.predictor.candidates import PriorTable, choices, read_prior_tables
from parsec.predictor.gcn import Encoder, fit
from parsec.prior.distribution import draw
from parsec.records.parquet import PROPOSALS_FILE
from parsec.records.stage import Stage
from parsec.runtime.checkpoint import read_metrics
from parsec.runtime.loop import RowTrainer
from parsec.runtime.rng import generator
from parsec.search.estimator import effective_sample_size, importance_weights
from parsec.tabular.nasbench201 import Data, NasBench201, read_search_columns
from parsec.tabular.problem import FloatArray


def tilted(log_prior: Tensor, predicted: Tensor, beta: float) -> Tensor:
    """Log q of all N architectures of an enumerated space, exactly normalised: [..., N] from log π and f."""
    return (log_prior + beta * predicted).log_softmax(-1)


def defended(log_proposal: Tensor, log_prior: Tensor, share: float) -> Tensor:
    """Log of (1 − share) q + share π, under which π/q is at most 1/share (defensive mixture, Hesterberg 1995).

    Without it children that the predictor wrongly dismisses are hardly ever drawn, and then weigh all: K children seem
    to weigh evenly while their mean is far off.
    """
    if share == 0.0:
        return log_proposal
    shares = torch.tensor([1.0 - share, share], dtype=log_prior.dtype).log()
    return torch.logaddexp(shares[0] + log_proposal, shares[1] + log_prior)


def log_weights(log_likelihood: Tensor, log_prior: Tensor, log_proposal: Tensor) -> Tensor:
    """Log of p(y|α) π(α)/q(α); its normalised exponentials are `estimator.importance_weights`."""
    return log_likelihood + log_prior - log_proposal


def share_in_the_limit(log_likelihood: Tensor, log_prior: Tensor, log_proposal: Tensor) -> Tensor:
    """Effective sample size / K as K grows, exactly: (Σ q w)² / Σ q w² over all N, with w = p π/q; [...]."""
    log_w = log_weights(log_likelihood, log_prior, log_proposal)
    first = (log_proposal + log_w).logsumexp(-1)
    second = (log_proposal + 2 * log_w).logsumexp(-1)
    return (2 * first - second).exp()


CLASSES: dict[Data, int] = {"cifar10": 10, "cifar100": 100, "in16": 120}
ALMOST = 1.0 - 1e-6
"""Largest accuracy that is told from 1, whose logarithm of what is left would be −∞."""


def mean_log_likelihood(accuracies: FloatArray, classes: int) -> FloatArray:
    """Expected log-likelihood in nats of an image under a calibrated classifier.

    It is a log a + (1 − a) log((1 − a)/(C − 1)): with probability a, its accuracy, the classifier is right, and it says
    so, a for its answer and the rest for the other classes in equal parts. Below chance it is taken for a guess,
    −log C. The literature gives no such rule; this one rises with the accuracy and has the unit of the loss that a
    search sees. Accuracies are in percent; `classes` is C.
    """
    right = np.clip(accuracies / 100.0, 1.0 / classes, ALMOST)
    log_likelihood: FloatArray = right * np.log(right) + (1 - right) * np.log((1 - right) / (classes - 1))
    return log_likelihood


class Weighing:
    """Weighs the children of one job's proposals; within a repeat all proposals share the uniform numbers."""

    def __init__(self, job: ProposalJob, seed: int, problem: NasBench201) -> None:
        self._job, self._seed, self._encoder = job, seed, Encoder(problem)
        self._likelihood = torch.from_numpy(mean_log_likelihood(problem.reached, CLASSES[job.data]))
        self._everything = range(len(self._likelihood))
        self._operations = torch.nn.functional.one_hot(choices()).double()

    def rows(self, prior: PriorTable, trained: int, repeats: range) -> Iterator[dict[str, Any]]:
        """Rows of `proposal.parquet` for one π and one number of trained architectures."""
        predicted = self._predicted(prior, trained, repeats)
        streams = [generator(self._seed, "children", prior.name, trained, repeat) for repeat in repeats]
        most = max(self._job.samples)
        uniform = torch.stack([torch.rand(most, dtype=torch.float64, generator=stream) for stream in streams])
        for images in self._job.images:
            likelihood = images * self._likelihood
            exact = self._mean((prior.log_prior + likelihood).softmax(-1))
            for beta, defence in itertools.product(self._job.betas, self._job.defences):
                log_q = defended(tilted(prior.log_prior, images * predicted, beta), prior.log_prior, defence)
                common = {"prior": prior.name, "entropy": prior.entropy, "images": images, "trained": trained}
                common |= {"beta": beta, "defence": defence}
                for row in self._proposed(prior.log_prior, likelihood, log_q, uniform, exact):
                    yield common | row | {"repeat": repeats[row["repeat"]]}

    def _proposed(
        self, log_prior: Tensor, likelihood: Tensor, log_q: Tensor, uniform: Tensor, exact: Tensor
    ) -> Iterator[dict[str, Any]]:
        """Rows of one proposal, log q [R, N], for every K; repeats are counted from 0."""
        limit = share_in_the_limit(likelihood, log_prior, log_q)
        children = draw(log_q.exp()[:, None], uniform)
        log_w = log_weights(likelihood, log_prior, log_q).gather(-1, children)
        for count in self._job.samples:
            shares, errors = self._weighed(log_w[:, :count], children[:, :count], exact)
            for repeat, numbers in enumerate(zip(shares, limit, errors, strict=True)):
                named = zip(("share", "limit", "error"), map(float, numbers), strict=True)
                yield {"samples": count, "repeat": repeat, **dict(named)}

    def _predicted(self, prior: PriorTable, trained: int, repeats: range) -> Tensor:
        """Log-likelihoods of an image that the ensembles expect of all architectures, float64 [R, N].

        They are fitted to different architectures drawn from π, as a search would have trained them.
        """
        streams = [generator(self._seed, "trained", prior.name, trained, repeat) for repeat in repeats]
        drawn = [prior.log_prior.exp().multinomial(trained, generator=stream) for stream in streams]
        graphs = self._encoder.together([indices.tolist() for indices in drawn])
        reached = torch.stack([self._likelihood[indices] for indices in drawn]).float()
        weights = [generator(self._seed, "weights", prior.name, trained, repeat) for repeat in repeats]
        fitted = fit(graphs, reached, self._job.predictor, weights)
        whole = self._encoder(self._everything)
        return torch.stack([fitted.predict(i, whole).double().mean(0) for i in range(len(repeats))])

    def _mean(self, weights: Tensor, indices: Tensor | Sequence[int] | slice = slice(None)) -> Tensor:
        """Weighted mean of the one-hot operations; less π's own it is the gradient with respect to the logits."""
        return torch.einsum("k,kij->ij", weights, self._operations[indices])

    def _weighed(self, log_w: Tensor, children: Tensor, exact: Tensor) -> tuple[list[Tensor], list[Tensor]]:
        """Effective sample size / K, and squared error of the gradient, of every repeat; log weights [R, K]."""
        weights = [importance_weights(each) for each in log_w]
        shares = [effective_sample_size(each) / len(each) for each in weights]
        pairs = zip(weights, children, strict=True)
        return shares, [(self._mean(each, indices) - exact).square().sum() for each, indices in pairs]


def propose(
    job: ProposalJob, benchmark: Path, files: Sequence[Path], seed: int, output: Path, state: Path, running: Running
) -> None:
    """Weigh children of every proposal and write `proposal.parquet` into `output`; on the CPU.

    `files` are `pi.parquet` or `trajectory.parquet` of searches on NAS-Bench-201. `state` keeps the run resumable by
    blocks of repeats. No test accuracy is read.
    """
    label, names = f"propose {job.data}/seed{seed}", ("proposal.parquet",)
    stage = Stage("parsec.predictor.proposal", job, label, output, state, names, running)
    stage.check()
    problem = NasBench201(read_search_columns(benchmark), job.data)
    read = hashlib.sha256(problem.reached.tobytes() + b"".join(path.read_bytes() for path in files)).hexdigest()
    identity = f"{fingerprint(job)}-seed{seed}-{read[:16]}"
    with stage.hold():
        stage.restored(identity, {**job.model_dump(mode="json"), "seed": seed, "accuracies and pi": read})
        stage.train(Blocks(job, seed, problem, read_prior_tables(files, job.moments)))
        with stage.outputs():
            PROPOSALS_FILE.write(output / "proposal.parquet", read_metrics(state), {"seed": seed, **stage.record(None)})


class Blocks(RowTrainer):
    """All blocks of repeats, one after another; each draws from streams of its own."""

    def __init__(self, job: ProposalJob, seed: int, problem: NasBench201, priors: Sequence[PriorTable]) -> None:
        self._weighing = Weighing(job, seed, problem)
        firsts = range(0, job.repeats, job.block)
        blocks = [range(first, min(first + job.block, job.repeats)) for first in firsts]
        self._blocks = [(each, trained, repeats) for each in priors for trained in job.trained for repeats in blocks]

    @property
    def total_steps(self) -> int:
        """Blocks to do."""
        return len(self._blocks)

    def advance(self) -> list[dict[str, Any]]:
        """The rows of one block."""
        rows = list(self._weighing.rows(*self._blocks[self.step]))
        self.step += 1
        return rows

    def progress(self) -> str:
        """Where the study stands, for one line."""
        prior, trained, _ = self._blocks[max(self.step - 1, 0)]
        return f"{self.step}/{self.total_steps} blocks, {prior.name}, {trained} trained architectures"
