"""The space of NAS-Bench-101: counts that its authors published, pruning, hash, edits and draws."""

import itertools

import numpy as np
import pytest

from parsec.errors import GenotypeError
from parsec.space.nasbench101 import (
    EDGES,
    OPERATIONS,
    VERTICES,
    architecture,
    draw,
    from_columns,
    neighbours,
    parse,
    pruned,
)

CONV3, CONV1, POOL = OPERATIONS
CHAIN = architecture(["input", CONV3, CONV1, "output"], [[0, 1, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1], [0] * 4])


def every_cell(size):
    """All pruned cells of exactly `size` vertices, each in every order of its vertices."""
    places = list(itertools.combinations(range(size), 2))
    for bits in itertools.product((0, 1), repeat=len(places)):
        matrix = np.zeros((size, size), dtype=int)
        for (v, w), bit in zip(places, bits, strict=True):
            matrix[v, w] = bit
        whole = pruned(["input", *[CONV3] * (size - 2), "output"], matrix.tolist())
        if whole is None or len(whole.operations) < size or matrix.sum() > EDGES:
            continue
        for inner in itertools.product(OPERATIONS, repeat=size - 2):
            yield architecture(["input", *inner, "output"], matrix.tolist())


@pytest.mark.parametrize(("size", "count"), [(2, 1), (3, 6), (4, 84), (5, 2_441)])
def test_distinct_hash_count_matches_benchmark(size, count):
    assert len({arch.canonical() for arch in every_cell(size)}) == count


def test_hash_matches_the_benchmark_file():
    """The first architecture of the authors' file, as their own program prints it."""
    adjacency = "0100110001000000010010000010000001000000010000000"
    arch = from_columns(adjacency, f"input,{CONV3},{POOL},{CONV3},{CONV3},{CONV1},output")
    assert arch.canonical() == "00005c142e6f48ac74fdcf73e3439874"


def test_hash_is_invariant_to_vertex_order():
    first = from_columns("0110000010000010000100000", f"input,{CONV3},{CONV1},{POOL},output")
    second = from_columns("0110000001000100000100000", f"input,{CONV1},{CONV3},{POOL},output")
    assert first != second
    assert first.canonical() == second.canonical()
    assert first.canonical() != second._replace(operations=first.operations).canonical()


def test_dangling_vertices_are_pruned():
    operations = ["input", CONV3, CONV1, POOL, "output"]
    # Vertex 2 leads nowhere, nothing leads to vertex 3.
    arch = architecture(operations, [[0, 1, 1, 0, 0], [0, 0, 0, 0, 1], [0] * 5, [0, 0, 0, 0, 1], [0] * 5])
    assert str(arch) == f"010001000:input,{CONV3},output"


def test_limits_hold_for_what_pruning_leaves():
    size = 9
    matrix = [[0] * size for _ in range(size)]
    for v in range(2, size - 1):
        matrix[1][v] = 1
    matrix[0][-1] = 1
    assert str(architecture(["input", *[CONV3] * (size - 2), "output"], matrix)) == "0100:input,output"
    chain = [[int(w == v + 1) for w in range(8)] for v in range(8)]
    with pytest.raises(GenotypeError, match="more than 7 vertices or 9 edges"):
        architecture(["input", *[CONV3] * 6, "output"], chain)
    full = [[int(w > v) for w in range(5)] for v in range(5)]
    with pytest.raises(GenotypeError, match="more than 7 vertices or 9 edges"):
        architecture(["input", *[CONV3] * 3, "output"], full)


@pytest.mark.parametrize(
    ("operations", "matrix", "message"),
    [
        (["input", CONV3, "output"], [[0, 1], [0, 0]], "3 × 3"),
        (["input"], [[0]], "at least two"),
        (["input", "output"], [[0, 2], [0, 0]], "0 and 1 above"),
        (["input", "output"], [[0, 1], [1, 0]], "0 and 1 above"),
        (["input", "output"], [[0, 0], [0, 0]], "no path"),
        (["output", "input"], [[0, 1], [0, 0]], "from input to output"),
        (["input", "conv5x5", "output"], [[0, 1, 0], [0, 0, 1], [0] * 3], "unknown operation 'conv5x5'"),
    ],
)
def test_invalid_cells_fail_in_one_line(operations, matrix, message):
    with pytest.raises(GenotypeError, match=message) as refused:
        architecture(operations, matrix)
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize(
    "text", ["", "0100", "0100:input", "01000:input,output", "0x00:input,output", ":", f"{CHAIN}:", "000:,"]
)
def test_other_texts_are_refused(text):
    with pytest.raises(GenotypeError, match="nasbench101"):
        parse(text)


def test_texts_and_draws_survive_each_other():
    rng = np.random.default_rng(0)
    archs = [draw(rng) for _ in range(50)]
    assert [parse(str(each)) for each in archs] == archs
    assert {len(each.operations) for each in archs} <= set(range(2, VERTICES + 1))
    assert len({each.canonical() for each in archs}) > 30
    again = np.random.default_rng(0)
    assert [draw(again) for _ in range(50)] == archs


def test_neighbours_are_one_edit_away():
    texts = {str(each) for each in neighbours(CHAIN)}
    swapped = CHAIN._replace(operations=("input", POOL, CONV1, "output"))
    shortcut = "0101001000010000:input,conv3x3-bn-relu,conv1x1-bn-relu,output"
    longer = "0100000100000100000100000:input,conv3x3-bn-relu,maxpool3x3,conv1x1-bn-relu,output"
    assert str(swapped) in texts
    assert shortcut in texts
    assert longer not in texts, "an edge would have to go as well"
    hashes = [each.canonical() for each in neighbours(CHAIN)]
    assert len(set(hashes)) == len(hashes)
    assert CHAIN.canonical() not in hashes
    assert max(len(each.operations) for each in neighbours(CHAIN)) == 5


def test_vertex_additions_are_reversible():
    larger = [each for each in neighbours(CHAIN) if len(each.operations) == 5]
    assert larger
    assert all(CHAIN.canonical() in {back.canonical() for back in neighbours(each)} for each in larger)


def test_mutations_stay_in_the_space():
    rng, arch = np.random.default_rng(1), CHAIN
    for _ in range(30):
        others = neighbours(arch)
        arch = others[int(rng.integers(len(others)))]
        assert parse(str(arch)) == arch
