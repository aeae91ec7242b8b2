"""ShardedRNG of parts: together they are those of the whole batch, and leave the generator where that one does."""

import pytest
import torch

from parsec.runtime.rng import ShardedRNG


@pytest.mark.parametrize("draw", [lambda d, n: d.uniform(2, 3, n), lambda d, n: d.integers(7, n)])
def test_parts_together_are_the_whole(draw):
    generators = [torch.Generator().manual_seed(3) for _ in range(4)]
    whole = draw(ShardedRNG(generators[0]), 12)
    parts = [draw(ShardedRNG(generator, part, 3), 4) for part, generator in enumerate(generators[1:])]
    assert torch.equal(torch.cat(parts, -1), whole)
    assert all(torch.equal(g.get_state(), generators[0].get_state()) for g in generators)
