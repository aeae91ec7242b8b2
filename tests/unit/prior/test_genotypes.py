"""Between chosen indices and genotypes."""

from hypothesis import given, settings
from hypothesis import strategies as st

from parsec.config.search import PriorConfig
from parsec.prior.distribution import Prior
from parsec.space.factors import decode, encode, factors
from parsec.space.published import DARTS_V2


@st.composite
def choices(draw):
    """A form and one choice for each of its factors."""
    form = draw(st.sampled_from(["separate", "joint"]))
    return form, [draw(st.integers(0, len(factor.choices) - 1)) for factor in factors(form)]


@settings(deadline=None)
@given(choices())
def test_decode_and_encode_undo_each_other(drawn):
    form, chosen = drawn
    assert encode(decode(chosen, form), form) == chosen


@settings(deadline=None)
@given(choices())
def test_genotype_matches_its_choice_names(drawn):
    form, chosen = drawn
    genotype = decode(chosen, form)
    names = ("c_{k-2}", "c_{k-1}", "node_0", "node_1", "node_2")
    for factor, index in zip(factors(form), chosen, strict=True):
        edge = getattr(genotype, factor.cell)[factor.node][factor.slot]
        said = {
            "input": names[edge.input],
            "operation": edge.primitive,
            "joint": f"{names[edge.input]}:{edge.primitive}",
        }
        assert factor.choices[index] == said[factor.kind]


def test_published_genotype_roundtrips_in_both_forms():
    for form in ("separate", "joint"):
        assert decode(encode(DARTS_V2, form), form) == DARTS_V2


def test_choice_counts_cover_inputs_and_primitives():
    assert [len(f.choices) for f in factors("separate")[:8]] == [2, 7, 2, 7, 3, 7, 3, 7]
    assert [len(f.choices) for f in factors("joint")[:8]] == [14, 14, 21, 21, 28, 28, 35, 35]
    assert len(Prior(PriorConfig()).factors) == 32
