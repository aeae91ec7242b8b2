"""Distributions for the tests of the prior: random ones, and ones small enough to enumerate."""

import itertools
from typing import NamedTuple

import pytest
import torch
from torch import Tensor

from parsec.prior.distribution import Prior

PINNED = 1000.0
"""A logit so high that the choice has probability one in float64."""


class OneNode(NamedTuple):
    """A prior that leaves a single node open, and everything that it can draw."""

    prior: Prior
    free: list[int]
    """Factors of the open node."""
    chosen: Tensor
    """All choices of the open node, as rows of chosen indices."""


@pytest.fixture
def random_prior():
    """A function seed, scale → a prior with normally distributed logits."""

    def make(seed=0, scale=1.0):
        prior = Prior()
        noise = torch.randn(prior.mask.shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
        return Prior("separate", torch.where(prior.mask, scale * noise, 0.0))

    return make


@pytest.fixture
def one_node(random_prior):
    """A function cell, node, seed → `OneNode`; the pinned nodes take inputs 0 and 1."""

    def make(cell, node, seed=0):
        prior = random_prior(seed, scale=1.5)
        free = [i for i, f in enumerate(prior.factors) if (f.cell, f.node) == (cell, node)]
        pinned = [i for i in range(len(prior.factors)) if i not in free]
        choice = [
            next(
                c
                for c, name in enumerate(f.choices)
                if f.kind == "operation" or name.startswith(("c_{k-2}", "c_{k-1}")[f.slot])
            )
            for f in prior.factors
        ]
        with torch.no_grad():
            prior.logits[pinned] = torch.where(
                torch.arange(prior.mask.shape[1]) == torch.tensor(choice)[pinned, None], PINNED, 0.0
            ).double()
        combinations = list(itertools.product(*(range(len(prior.factors[i].choices)) for i in free)))
        chosen = torch.tensor(choice).repeat(len(combinations), 1)
        chosen[:, free] = torch.tensor(combinations)
        return OneNode(prior, free, chosen)

    return make
