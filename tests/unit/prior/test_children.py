"""Children: the same architectures as data and as genotypes."""

import torch

from parsec.prior.distribution import ArchitectureBatch, Prior
from parsec.space.darts import PRIMITIVES
from parsec.space.factors import decode


def test_genotypes_decode_the_sampled_indices():
    prior = Prior()
    chosen = prior.sample(20, torch.Generator().manual_seed(0))
    children = prior.children(chosen)
    assert children.genotypes == [decode(row, "separate") for row in chosen.tolist()]
    assert len(children) == 20


def test_table_holds_slot_inputs_and_primitives():
    prior = Prior()
    children = prior.children(prior.sample(5, torch.Generator().manual_seed(0)))
    for row, child in zip(children.table.tolist(), children.genotypes, strict=True):
        cells = [[[[e.input, PRIMITIVES.index(e.primitive)] for e in node] for node in cell] for cell in child]
        assert row == cells


def test_batch_from_genotypes_can_be_sliced():
    prior = Prior()
    children = prior.children(prior.sample(5, torch.Generator().manual_seed(0)))
    again = ArchitectureBatch.of(children.genotypes)
    assert torch.equal(again.table, children.table)
    assert children[1:3].genotypes == children.genotypes[1:3]
    assert again[3:].genotypes == children.genotypes[3:]
