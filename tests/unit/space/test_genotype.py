"""A genotype is checked when it is built, and writing and reading it changes nothing."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from parsec.errors import GenotypeError
from parsec.space.darts import NODES, PRIMITIVES, SLOTS
from parsec.space.factors import decode, encode
from parsec.space.genotype import from_dict, from_json, genotype
from parsec.space.published import DARTS_V1, DARTS_V2, PUBLISHED, named_or_file


@st.composite
def cells(draw):
    """Eight (primitive, input) pairs, two a node, every input existing."""
    return [
        (draw(st.sampled_from(PRIMITIVES)), draw(st.integers(0, node + 1)))
        for node in range(NODES)
        for _ in range(SLOTS)
    ]


genotypes = st.builds(genotype, cells(), cells())


def pairs():
    """A valid flat cell to be spoilt."""
    return [["skip_connect", 0] for _ in range(NODES * SLOTS)]


def document(**changes):
    return DARTS_V2.as_dict() | changes


@given(genotypes)
def test_writing_and_reading_gives_the_same(found):
    again = from_json(json.dumps(found.as_dict()))
    assert again == found
    assert hash(again) == hash(found)


@given(genotypes)
def test_choices_decode_to_the_genotype_that_encodes_to_them(found):
    for form in ("separate", "joint"):
        assert decode(encode(found, form), form) == found


def test_further_keys_of_a_document_are_ignored():
    assert from_dict(document(found_by={"seed": 1})) == DARTS_V2


@given(genotypes, st.randoms(use_true_random=False))
def test_the_canonical_form_forgets_the_order_of_a_nodes_edges(found, random):
    shuffled = genotype(*([e for node in cell for e in random.sample(node, SLOTS)] for cell in found))
    assert shuffled.canonical() == found.canonical()
    assert found.canonical().canonical() == found.canonical()
    assert all(
        sorted(a) == sorted(b)
        for one, other in zip(found, found.canonical(), strict=True)
        for a, b in zip(one, other, strict=True)
    )


def test_different_networks_stay_different_in_canonical_form():
    assert DARTS_V1.canonical() != DARTS_V2.canonical()


@pytest.mark.parametrize(
    ("position", "pair", "message"),
    [
        (3, ["conv_7x7", 0], r"normal\[3\]: unknown operation 'conv_7x7'; there are max_pool_3x3, "),
        (3, ["none", 0], r"normal\[3\]: unknown operation 'none'"),
        (3, [["skip_connect"], 0], r"normal\[3\]: unknown operation \['skip_connect'\]"),
        (1, ["skip_connect", 2], r"normal\[1\]: input 2 does not exist yet; node 0 may use 0 to 1"),
        (7, ["skip_connect", 5], r"normal\[7\]: input 5 does not exist yet; node 3 may use 0 to 4"),
        (0, ["skip_connect", -1], r"normal\[0\]: input -1 does not exist"),
        (0, ["skip_connect", True], r"normal\[0\]: input True does not exist"),
        (0, ["skip_connect", 1.0], r"normal\[0\]: input 1.0 does not exist"),
        (0, ["skip_connect", "1"], r"normal\[0\]: input '1' does not exist"),
        (0, ["skip_connect"], r"normal\[0\]: expected \[primitive, input\], got \['skip_connect'\]"),
        (0, "ab", r"normal\[0\]: expected \[primitive, input\], got 'ab'"),
    ],
)
def test_an_impossible_pair_is_refused_with_its_place(position, pair, message):
    spoilt = pairs()
    spoilt[position] = pair
    with pytest.raises(GenotypeError, match=message):
        genotype(spoilt, pairs())


@pytest.mark.parametrize("cell", [[], pairs()[:7], [*pairs(), ["skip_connect", 0]], None, "skip_connect", {}])
def test_a_cell_of_wrong_length_is_refused(cell):
    with pytest.raises(GenotypeError, match=r"reduce: expected a list of 8 \[primitive, input\] pairs, two a node"):
        genotype(pairs(), cell)


@pytest.mark.parametrize(
    ("broken", "message"),
    [
        ([], "a genotype is a JSON object"),
        ({"space": "darts"}, "the genotype lacks normal, normal_concat, reduce, reduce_concat"),
        (document(space="nasbench201"), "the genotype belongs to space 'nasbench201', not to darts"),
        (
            document(normal_concat=[2, 3, 4]),
            r"normal_concat: the darts space concatenates its 4 nodes, got \[2, 3, 4\]",
        ),
        (document(reduce_concat=[True, 3, 4, 5]), "reduce_concat: the darts space concatenates its 4 nodes"),
    ],
)
def test_a_document_of_another_form_is_refused(broken, message):
    with pytest.raises(GenotypeError, match=message):
        from_dict(broken)


def test_text_that_is_no_json_is_refused():
    with pytest.raises(GenotypeError, match="the genotype is not JSON: "):
        from_json("{")


def test_published_genotypes_are_known_by_name_and_files_by_their_path(tmp_path):
    path = tmp_path / "genotype.json"
    path.write_text(json.dumps(DARTS_V1.as_dict()))
    assert named_or_file("DARTS_V2") is DARTS_V2
    assert named_or_file(str(path)) == DARTS_V1


def test_a_name_that_is_neither_says_what_is_known(tmp_path):
    with pytest.raises(GenotypeError, match=r"DARTS_V3: neither a published genotype \(DARTS_V1, DARTS_V2\) nor"):
        named_or_file("DARTS_V3")
    path = tmp_path / "broken.json"
    path.write_text('{"space": "darts"}')
    with pytest.raises(GenotypeError, match=r"broken.json: the genotype lacks "):
        named_or_file(str(path))


def test_published_genotypes_are_those_of_the_darts_code():
    """The second-order cell as printed in cnn/genotypes.py; pooling alone in its reduction cell."""
    assert set(PUBLISHED) == {"DARTS_V1", "DARTS_V2"}
    convolutions = [p for node in DARTS_V2.normal for p, _ in node if "conv" in p]
    assert convolutions == ["sep_conv_3x3"] * 5 + ["dil_conv_3x3"]
    assert {p for node in DARTS_V2.reduce for p, _ in node} == {"max_pool_3x3", "skip_connect"}
    assert [i for node in DARTS_V2.reduce for _, i in node] == [0, 1, 2, 1, 0, 2, 2, 1]
    assert [i for node in DARTS_V1.normal for _, i in node] == [1, 0, 0, 1, 0, 1, 0, 2]
    assert DARTS_V1.reduce[3][1].primitive == "avg_pool_3x3"
