"""Edits of architectures of the DARTS space: what a mutation may lead to."""

from collections.abc import Iterator

from parsec.space.darts import PRIMITIVES
from parsec.space.genotype import Edge, Genotype


def neighbours(found: Genotype) -> list[Genotype]:
    """The canonical architectures that differ in the primitive or in the input of one edge, each once.

    Up to 96 in a primitive and 40 in an input; fewer where a node has two equal edges.
    """
    here = found.canonical()
    return [other for other in dict.fromkeys(_edited(here)) if other != here]


def _edited(found: Genotype) -> Iterator[Genotype]:
    for name, cell in found._asdict().items():
        for node, edges in enumerate(cell):
            for slot, edge in enumerate(edges):
                for other in _edges(edge, node):
                    changed = (*edges[:slot], other, *edges[slot + 1 :])
                    yield found._replace(**{name: (*cell[:node], changed, *cell[node + 1 :])}).canonical()


def _edges(edge: Edge, node: int) -> Iterator[Edge]:
    for primitive in PRIMITIVES:
        if primitive != edge.primitive:
            yield edge._replace(primitive=primitive)
    for source in range(node + 2):
        if source != edge.input:
            yield edge._replace(input=source)
