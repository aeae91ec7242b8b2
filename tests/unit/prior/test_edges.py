"""π over the operations of all edges, the form of the relaxed methods: entropy, mode, and its files."""

import math

import pytest
import torch

from parsec.errors import PriorError
from parsec.prior.distribution import Prior
from parsec.prior.parquet import read_prior, write_prior
from parsec.space.darts import EDGES, edge_index
from parsec.space.spaces import SPACES

EDGE = "edges"


def prior(space, seed=0):
    uniform = Prior(EDGE, space=SPACES[space])
    rng = torch.Generator().manual_seed(seed)
    return Prior(EDGE, torch.randn(uniform.logits.shape, generator=rng, dtype=torch.float64), SPACES[space])


@pytest.mark.parametrize(("space", "edges", "primitives"), [("darts", 28, 8), ("nasbench201", 6, 5)])
def test_each_factor_covers_one_edge(space, edges, primitives):
    uniform = Prior(EDGE, space=SPACES[space])
    assert uniform.logits.shape == (edges, primitives)
    assert uniform.entropy() == pytest.approx(edges * math.log(primitives))
    assert {factor.choices for factor in uniform.factors} == {SPACES[space].candidates}


def test_factors_follow_network_edge_order():
    for index, factor in enumerate(Prior(EDGE).factors):
        assert index == EDGES * ("normal", "reduce").index(factor.cell) + edge_index(factor.node, factor.slot)


@pytest.mark.parametrize("space", SPACES)
def test_mode_is_derived_from_marginals(space):
    edge_prior = prior(space)
    assert edge_prior.mode() == SPACES[space].derive(edge_prior.marginals().tolist())


@pytest.mark.parametrize("space", SPACES)
def test_edge_prior_roundtrips_only_as_edges(space, tmp_path):
    edge_prior = prior(space)
    write_prior(tmp_path / "pi.parquet", edge_prior, {"space": space})
    again = read_prior(tmp_path / "pi.parquet", EDGE, space)
    assert torch.equal(again.logits, edge_prior.logits)
    with pytest.raises(PriorError, match="factors 'edges', but 'separate' is needed"):
        read_prior(tmp_path / "pi.parquet", "separate", space)
