"""The DARTS cell space as PARSEC samples it: 4 nodes a cell, two slots a node, seven primitives (DARTS, 2.1)."""

PRIMITIVES = (
    "max_pool_3x3",
    "avg_pool_3x3",
    "skip_connect",
    "sep_conv_3x3",
    "sep_conv_5x5",
    "dil_conv_3x3",
    "dil_conv_5x5",
)
"""DARTS' candidates without `none`, which makes the paper's seven."""

CANDIDATES = ("none", *PRIMITIVES)
"""DARTS' eight primitives, of which a relaxed edge mixes all."""

CELLS = ("normal", "reduce")
NODES = 4
SLOTS = 2
EDGES = sum(node + 2 for node in range(NODES))
"""Possible connections of a cell: 14."""


def input_name(index: int) -> str:
    """Name of an input: `c_{k-2}` and `c_{k-1}` are the cells before, `node_0` … the nodes."""
    return ("c_{k-2}", "c_{k-1}")[index] if index < 2 else f"node_{index - 2}"


def edge_index(node: int, source: int) -> int:
    """Position of the connection source → node among the 14 of a cell, in node order."""
    return node * (node + 3) // 2 + source


def is_reduction(cell: int, cells: int) -> bool:
    """Whether cell number `cell` of a stack of `cells` halves the resolution: at one third and two thirds (DARTS)."""
    return cell in (cells // 3, 2 * cells // 3)
