"""Expected use of the primitives under π."""

import pytest
import torch

from parsec.config.search import Prior as Form
from parsec.prior.distribution import Prior
from parsec.search.base import expected_operations
from parsec.space.darts import CELLS, PRIMITIVES


@pytest.mark.parametrize("factors", ["separate", "joint"])
@pytest.mark.parametrize("inputs", ["independent", "distinct"])
def test_expected_use_is_the_mean_over_samples(factors, inputs):
    form = Form(factors=factors, inputs=inputs)
    draws = torch.Generator().manual_seed(0)
    prior = Prior(form, torch.randn(Prior(form).logits.shape, generator=draws, dtype=torch.float64))
    genotypes = prior.children(prior.sample(1000, draws)).genotypes
    expected = expected_operations(prior)
    for cell in CELLS:
        for primitive in PRIMITIVES:
            seen = [sum(edge.primitive == primitive for node in getattr(g, cell) for edge in node) for g in genotypes]
            # 4.5 standard errors of a count of eight, each used or not with even odds: the widest there is.
            assert expected[cell][primitive] == pytest.approx(sum(seen) / 1000, abs=4.5 * (8 / 4 / 1000) ** 0.5)
        assert sum(expected[cell].values()) == pytest.approx(8)
