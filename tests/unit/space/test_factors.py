"""Factors of the DARTS space: what their choices mean, and chosen indices as genotypes."""

from hypothesis import given, settings
from hypothesis import strategies as st

from parsec.space.factors import decode, encode, factors


@st.composite
def choices(draw):
    """One choice for each factor."""
    return [draw(st.integers(0, len(factor.choices) - 1)) for factor in factors("separate")]


@settings(deadline=None)
@given(choices())
def test_decode_and_encode_undo_each_other(chosen):
    assert encode(decode(chosen, "separate"), "separate") == chosen


@settings(deadline=None)
@given(choices())
def test_genotype_matches_its_choice_names(chosen):
    genotype = decode(chosen, "separate")
    names = ("c_{k-2}", "c_{k-1}", "node_0", "node_1", "node_2")
    for factor, index in zip(factors("separate"), chosen, strict=True):
        edge = getattr(genotype, factor.cell)[factor.node][factor.slot]
        said = {"input": names[edge.input], "operation": edge.primitive}
        assert factor.choices[index] == said[factor.kind]


def test_choice_counts_cover_inputs_and_primitives():
    assert [len(f.choices) for f in factors("separate")[:8]] == [2, 7, 2, 7, 3, 7, 3, 7]
