"""The space of NAS-Bench-201 against the counts and the order that its authors published."""

import pytest

from parsec.errors import GenotypeError
from parsec.space.nasbench201 import OPERATIONS, SIZE, architecture, architectures, index_of, parse

MIXED = "|nor_conv_3x3~0|+|none~0|skip_connect~1|+|avg_pool_3x3~0|none~1|nor_conv_1x1~2|"


def test_order_matches_the_benchmark_file():
    # The three that the benchmark's own code checks before it trains.
    known = {
        0: "|avg_pool_3x3~0|+|nor_conv_1x1~0|skip_connect~1|+|nor_conv_1x1~0|skip_connect~1|skip_connect~2|",
        9: "|avg_pool_3x3~0|+|none~0|none~1|+|skip_connect~0|none~1|nor_conv_3x3~2|",
        123: "|avg_pool_3x3~0|+|avg_pool_3x3~0|nor_conv_1x1~1|+|none~0|avg_pool_3x3~1|nor_conv_3x3~2|",
    }
    assert {index: str(architectures()[index]) for index in known} == known
    assert [index_of(parse(text)) for text in known.values()] == list(known)


def test_architectures_are_unique_and_roundtrip_text():
    everything = architectures()
    assert len(set(everything)) == SIZE == 15_625
    assert [parse(str(arch)) for arch in everything] == list(everything)


def test_topologies_are_as_many_as_published():
    assert len({arch.canonical() for arch in architectures()}) == 6_466


def test_dead_edges_keep_the_canonical_topology():
    # Node 1 is zero, so what leads from it is zero too, whatever the operation.
    silent = [architecture(["none", "skip_connect", op, "none", op, "nor_conv_3x3"]) for op in OPERATIONS]
    assert len({arch.canonical() for arch in silent}) == 1
    other = architecture(["none", "nor_conv_1x1", "none", "none", "none", "nor_conv_3x3"])
    assert other.canonical() != silent[0].canonical()


def test_neighbours_differ_in_one_edge():
    arch = parse(MIXED)
    neighbours = list(arch.neighbours())
    assert len(set(neighbours)) == len(neighbours) == 24
    differences = [sum(a != b for a, b in zip(arch.operations, other.operations, strict=True)) for other in neighbours]
    assert set(differences) == {1}
    assert all(arch in set(other.neighbours()) for other in neighbours)


def test_edges_are_read_node_by_node():
    assert parse(MIXED).edges_into(3) == [(0, "avg_pool_3x3"), (1, "none"), (2, "nor_conv_1x1")]


@pytest.mark.parametrize(
    "text",
    [
        "",
        MIXED[:-1],
        MIXED.replace("~2", "~1"),
        MIXED.replace("none~0", "max_pool_3x3~0"),
        MIXED.replace("+", ""),
        MIXED + "\n",
        MIXED.replace("|none~0|", "|none~0||"),
    ],
)
def test_invalid_texts_fail_in_one_line(text):
    with pytest.raises(GenotypeError) as refused:
        parse(text)
    assert "\n" not in str(refused.value)
    assert "nasbench201" in str(refused.value)


@pytest.mark.parametrize("operations", [OPERATIONS, (*OPERATIONS, "max_pool_3x3"), "none", None])
def test_operations_are_checked(operations):
    with pytest.raises(GenotypeError, match="nasbench201"):
        architecture(operations)
