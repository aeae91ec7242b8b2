"""What both spaces offer to π and the search: factors, decoding, and genotypes as JSON."""

import json
import random

import pytest

from parsec.errors import GenotypeError
from parsec.space.nasbench201 import EDGES, OPERATIONS, architectures, parse
from parsec.space.published import DARTS_V2
from parsec.space.spaces import NASBENCH201, SPACES, from_text

MIXED = parse("|nor_conv_3x3~0|+|none~0|skip_connect~1|+|avg_pool_3x3~0|none~1|nor_conv_1x1~2|")


@pytest.mark.parametrize("space", SPACES.values(), ids=SPACES)
def test_architectures_survive_their_choices(space):
    rng = random.Random(0)
    for _ in range(20):
        chosen = [rng.randrange(len(factor.choices)) for factor in space.factors("separate")]
        assert space.encode(space.decode(chosen, "separate"), "separate") == chosen


@pytest.mark.parametrize("space", SPACES.values(), ids=SPACES)
def test_factors_name_space_cells_and_primitives(space):
    operations = [factor for factor in space.factors("separate") if factor.kind == "operation"]
    assert tuple(dict.fromkeys(factor.cell for factor in operations)) == space.cells
    assert {factor.choices for factor in operations} == {space.primitives}


def test_nasbench201_has_a_factor_per_edge():
    factors = NASBENCH201.factors("separate")
    assert [(factor.slot, factor.node) for factor in factors] == list(EDGES)
    assert {(factor.cell, factor.kind, factor.choices) for factor in factors} == {("cell", "operation", OPERATIONS)}
    assert NASBENCH201.decode([3, 0, 1, 4, 0, 2], "separate") == MIXED


@pytest.mark.parametrize("arch", [DARTS_V2, MIXED, architectures()[7]])
def test_genotypes_of_all_spaces_roundtrip_json(arch):
    assert from_text(json.dumps({**arch.as_dict(), "origin": {"seed": 1}})) == arch


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "not JSON"),
        ("[]", "is a JSON list; it must be an object"),
        ('{"space": "other"}', "space 'other'; there are"),
        ('{"space": ["darts"]}', "there are darts"),
        ('{"space": "nasbench201"}', "lacks its cell"),
        ('{"space": "nasbench201", "cell": "|none~0|"}', "is no architecture of nasbench201"),
        ('{"space": "darts"}', "lacks"),
    ],
)
def test_invalid_documents_fail_in_one_line(text, message):
    with pytest.raises(GenotypeError, match=message) as refused:
        from_text(text)
    assert "\n" not in str(refused.value)
