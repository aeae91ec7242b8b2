"""Measuring proposals on NAS-Bench-201: predictors fitted to few architectures, children, and how they weigh.

Dimensions: R repeats, N = 15,625 architectures, K children, F = 6 edges, O = 5 operations.
"""

import itertools
from collections.abc import Iterator, Sequence
from typing import Any

import torch
from torch import Tensor

from parsec.benchmarks.nasbench201_problem import NasBench201
from parsec.estimator import effective_sample_size, importance_weights
from parsec.predictor.encode import Encoder
from parsec.predictor.fit import fit
from parsec.predictor.likelihood import CLASSES, mean_log_likelihood
from parsec.predictor.priors import Studied, choices
from parsec.predictor.proposal import defended, log_weights, share_in_the_limit, tilted
from parsec.prior.draw import draw
from parsec.runtime.randomness import generator
from parsec.settings.proposal import ProposalJob


class Weighing:
    """Weighs the children of one job's proposals; the uniform numbers of a repeat are those of all proposals."""

    def __init__(self, job: ProposalJob, seed: int, problem: NasBench201) -> None:
        self._job, self._seed, self._encoder = job, seed, Encoder(problem)
        self._likelihood = torch.from_numpy(mean_log_likelihood(problem.reached, CLASSES[job.data]))
        self._everything = range(len(self._likelihood))
        self._operations = torch.nn.functional.one_hot(choices()).double()

    def rows(self, studied: Studied, trained: int, repeats: range) -> Iterator[dict[str, Any]]:
        """Rows of `proposal.parquet` for one π and one number of trained architectures."""
        predicted = self._predicted(studied, trained, repeats)
        uniform = torch.stack([self._uniform(studied, trained, repeat) for repeat in repeats])
        for images in self._job.images:
            likelihood = images * self._likelihood
            exact = self._mean((studied.log_prior + likelihood).softmax(-1))
            for beta, defence in itertools.product(self._job.betas, self._job.defences):
                log_q = defended(tilted(studied.log_prior, images * predicted, beta), studied.log_prior, defence)
                about = {"prior": studied.name, "entropy": studied.entropy, "images": images, "trained": trained}
                about |= {"beta": beta, "defence": defence}
                for row in self._proposed(studied.log_prior, likelihood, log_q, uniform, exact):
                    yield about | row | {"repeat": repeats[row["repeat"]]}

    def _proposed(
        self, log_prior: Tensor, likelihood: Tensor, log_q: Tensor, uniform: Tensor, exact: Tensor
    ) -> Iterator[dict[str, Any]]:
        """What one proposal, log q [R, N], gives for every K; repeats are counted from 0."""
        limit = share_in_the_limit(likelihood, log_prior, log_q)
        children = draw(log_q.exp()[:, None], uniform)
        log_w = log_weights(likelihood, log_prior, log_q).gather(-1, children)
        for count in self._job.samples:
            shares, errors = self._weighed(log_w[:, :count], children[:, :count], exact)
            for repeat, numbers in enumerate(zip(shares, limit, errors, strict=True)):
                named = zip(("share", "limit", "error"), map(float, numbers), strict=True)
                yield {"samples": count, "repeat": repeat, **dict(named)}

    def _predicted(self, studied: Studied, trained: int, repeats: range) -> Tensor:
        """Log-likelihoods of an image that the ensembles expect of all architectures, float64 [R, N].

        They are fitted to different architectures drawn from π, as a search would have trained them.
        """
        streams = [generator(self._seed, "trained", studied.name, trained, repeat) for repeat in repeats]
        drawn = [studied.log_prior.exp().multinomial(trained, generator=stream) for stream in streams]
        graphs = self._encoder.together([found.tolist() for found in drawn])
        reached = torch.stack([self._likelihood[found] for found in drawn]).float()
        weights = [generator(self._seed, "weights", studied.name, trained, repeat) for repeat in repeats]
        fitted = fit(graphs, reached, self._job.predictor, weights)
        whole = self._encoder(self._everything)
        return torch.stack([fitted.predict(place, whole).double().mean(0) for place in range(len(repeats))])

    def _uniform(self, studied: Studied, trained: int, repeat: int) -> Tensor:
        stream = generator(self._seed, "children", studied.name, trained, repeat)
        return torch.rand(max(self._job.samples), dtype=torch.float64, generator=stream)

    def _mean(self, weights: Tensor, found: Tensor | Sequence[int] | slice = slice(None)) -> Tensor:
        """Weighted mean of the one-hot operations; less π's own it is the gradient with respect to the logits."""
        return torch.einsum("k,kij->ij", weights, self._operations[found])

    def _weighed(self, log_w: Tensor, children: Tensor, exact: Tensor) -> tuple[list[Tensor], list[Tensor]]:
        """Effective sample size by K, and squared error of the gradient, of every repeat; log weights [R, K]."""
        weights = [importance_weights(each) for each in log_w]
        shares = [effective_sample_size(each) / len(each) for each in weights]
        pairs = zip(weights, children, strict=True)
        return shares, [(self._mean(each, found) - exact).square().sum() for each, found in pairs]
