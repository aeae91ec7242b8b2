"""A genotype is checked when it is built, and writing and reading it changes nothing."""

import json
import os

import pytest
from hypothesis import given
from hypothesis import strategies as st

from parsec.errors import GenotypeError
from parsec.space.darts import NODES, PRIMITIVES, SLOTS, from_dict, genotype
from parsec.space.published import DARTS_V1, DARTS_V2, LARGEST, read_architecture, read_genotype
from parsec.space.spaces import from_text


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
def test_writing_and_reading_gives_the_same(arch):
    again = from_text(json.dumps(arch.as_dict()))
    assert again == arch
    assert hash(again) == hash(arch)


def test_extra_document_keys_are_ignored():
    assert from_dict(document(found_by={"seed": 1})) == DARTS_V2


@given(genotypes, st.randoms(use_true_random=False))
def test_canonical_form_ignores_edge_order(arch, random):
    shuffled = genotype(*([e for node in cell for e in random.sample(node, SLOTS)] for cell in arch))
    assert shuffled.canonical() == arch.canonical()
    assert arch.canonical().canonical() == arch.canonical()
    assert all(
        sorted(a) == sorted(b)
        for one, other in zip(arch, arch.canonical(), strict=True)
        for a, b in zip(one, other, strict=True)
    )


def test_canonical_form_distinguishes_different_networks():
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
def test_invalid_pair_is_refused_with_position(position, pair, message):
    spoilt = pairs()
    spoilt[position] = pair
    with pytest.raises(GenotypeError, match=message):
        genotype(spoilt, pairs())


@pytest.mark.parametrize("cell", [[], pairs()[:7], [*pairs(), ["skip_connect", 0]], None, "skip_connect", {}])
def test_wrong_cell_length_is_refused(cell):
    with pytest.raises(GenotypeError, match=r"reduce: expected a list of 8 \[primitive, input\] pairs, two per node"):
        genotype(pairs(), cell)


@pytest.mark.parametrize(
    ("broken", "message"),
    [
        ([], "a genotype is a JSON object"),
        ({"space": "darts"}, "the genotype lacks normal, normal_concat, reduce, reduce_concat"),
        ({"normal": []}, "the genotype lacks normal_concat, reduce, reduce_concat"),
        (document(space="nasbench201"), "the genotype belongs to space 'nasbench201', not to darts"),
        (
            document(normal_concat=[2, 3, 4]),
            r"normal_concat: the darts space concatenates its 4 nodes, got \[2, 3, 4\]",
        ),
        (document(reduce_concat=[True, 3, 4, 5]), "reduce_concat: the darts space concatenates its 4 nodes"),
    ],
)
def test_malformed_document_is_refused(broken, message):
    with pytest.raises(GenotypeError, match=message):
        from_dict(broken)


def by_node(cell):
    return [cell[i : i + SLOTS] for i in range(0, len(cell), SLOTS)]


def printed(arch):
    """As DARTS, PC-DARTS and P-DARTS print a genotype, with tuples and a range."""
    cells = {name: [tuple(pair) for pair in arch.as_dict()[name]] for name in ("normal", "reduce")}
    return "Genotype(" + ", ".join(f"{name}={cell}, {name}_concat=range(2, 6)" for name, cell in cells.items()) + ")"


def other_forms(arch):
    """The same genotype in every form that is read."""
    document, text = arch.as_dict(), printed(arch)
    nested = document | {name: by_node(document[name]) for name in ("normal", "reduce")}
    fields = [nested[name] for name in ("normal", "normal_concat", "reduce", "reduce_concat")]
    yield json.dumps({name: value for name, value in document.items() if name != "space"})
    yield json.dumps(nested)
    yield from (text, f"\n  BEST = {text}\n", f"# the best\nbest: Genotype = genotypes.{text}  # of all")
    yield text.replace("range(2, 6)", "[2, 3, 4, 5]").replace(", ", ",\n  ")
    yield f"11/20 03:04:05 PM genotype = {text}"
    yield f"Genotype({', '.join(map(repr, fields))})"


@given(genotypes)
def test_every_form_gives_the_same_genotype(arch):
    assert [from_text(text) for text in other_forms(arch)] == [arch] * 8


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "the genotype is not JSON: "),
        ("[" * 10**5, "nested too deeply"),
        ('{"normal": ' * 10**5, "nested too deeply"),
        ("-" * 10**6 + "1", "neither JSON nor the printed form .* deeply"),
        ("", "0 statements; keep only the one genotype"),
        ("import os\nGenotype()", "2 statements; keep only the one genotype"),
        ("os.system('touch made')", "the text is no genotype; its printed form is Genotype"),
        (
            "Genotype(normal=__import__('os').system('touch made'))",
            r"normal: .*touch made.* has no place in a genotype",
        ),
        ("Genotype(normal=[*range(8)])", r"normal: '\*range\(8\)' has no place"),
        ("Genotype(normal=range(0, 10**9))", "has no place"),
        ("Genotype(normal=range(0, 1000000000))", "has no place"),
        ("Genotype(normal=[], normal=[])", "twice the field normal"),
        ("Genotype([], normal=[])", "twice the field normal"),
        ("Genotype(cells=[])", "unknown field, cells"),
        ("Genotype(1, 2, 3, 4, 5)", "5 fields"),
        ("Genotype(normal=[('skip_connect', 0)", r"\(line 1, column 17: .* was never closed\)"),
        ("Genotype(normal=[], reduce=[])", "lacks normal_concat, reduce_concat"),
        (printed(DARTS_V2).replace("dil_conv_3x3", "none"), r"normal\[7\]: unknown operation 'none'; there are"),
        (printed(DARTS_V2).replace("(2, 6)", "(2, 5)", 1), r"normal_concat: the darts space .* got \[2, 3, 4\]"),
        ("\0", "null bytes"),
    ],
)
def test_invalid_text_fails_in_one_line(text, message, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(GenotypeError, match=message) as refused:
        from_text(text)
    assert "\n" not in str(refused.value)
    assert len(str(refused.value)) < 400
    assert list(tmp_path.iterdir()) == []


def test_nested_pair_errors_name_both_indices():
    nested = by_node(pairs())
    nested[2][1] = ["skip_connect", 4]
    with pytest.raises(GenotypeError, match=r"normal\[2\]\[1\]: input 4 does not exist yet; node 2 may use 0 to 3"):
        genotype(nested, pairs())


def test_genotypes_load_from_name_file_text(tmp_path):
    path = tmp_path / "Genotype (1).txt"
    path.write_text("\ufeff" + printed(DARTS_V1), encoding="utf-8")
    assert read_genotype("DARTS_V2") is DARTS_V2
    assert read_genotype(str(path)) == read_genotype(printed(DARTS_V1)) == DARTS_V1
    cell = "|nor_conv_3x3~0|+|none~0|skip_connect~1|+|avg_pool_3x3~0|none~1|nor_conv_1x1~2|"
    assert str(read_architecture(cell)) == cell
    with pytest.raises(GenotypeError, match=r"^the genotype belongs to space 'nasbench201', not to darts"):
        read_genotype(cell)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b'{"space": "darts"}', "the genotype lacks "),
        (b"\xff\xfe", "not UTF-8 text"),
        (b" " * LARGEST + b"{}", "larger than 1,000,000 bytes"),
        (None, r"neither a published genotype \(DARTS_V1, DARTS_V2, PDARTS, .*\) nor a readable file$"),
    ],
)
def test_file_without_genotype_is_named(content, message, tmp_path):
    path = tmp_path / "broken.json"
    # A folder is no file, nor is a pipe, which might never end.
    os.mkfifo(path) if content is None else path.write_bytes(content)
    with pytest.raises(GenotypeError, match=f"^{path}: {message}"):
        read_genotype(str(path))


def test_published_genotypes_match_darts_code():
    """The second-order cell as printed in cnn/genotypes.py; only pooling in its reduction cell."""
    convolutions = [p for node in DARTS_V2.normal for p, _ in node if "conv" in p]
    assert convolutions == ["sep_conv_3x3"] * 5 + ["dil_conv_3x3"]
    assert {p for node in DARTS_V2.reduce for p, _ in node} == {"max_pool_3x3", "skip_connect"}
    assert [i for node in DARTS_V2.reduce for _, i in node] == [0, 1, 2, 1, 0, 2, 2, 1]
    assert [i for node in DARTS_V1.normal for _, i in node] == [1, 0, 0, 1, 0, 1, 0, 2]
    assert DARTS_V1.reduce[3][1].primitive == "avg_pool_3x3"
