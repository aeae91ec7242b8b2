"""The search spaces by name: what π and the search need of each."""

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from parsec.errors import GenotypeError
from parsec.plugins import Registry
from parsec.space import darts, factors, nasbench201, printed
from parsec.space.darts import CANDIDATES, CELLS, EDGES, NODES, SLOTS, Edge, Genotype, Node, edge_index
from parsec.space.factors import Factor, Form
from parsec.space.nasbench201 import OPERATIONS
from parsec.space.nasbench201 import Architecture as Benchmarked

Probabilities = Sequence[Sequence[float]]
"""One row per edge in the order of the form `edges`, one column per primitive."""


def _strongest(row: Sequence[float]) -> tuple[float, str]:
    """Probability and name of the best primitive that is not `none`; the first one of equals."""
    candidates = [(p, name) for p, name in zip(row, CANDIDATES, strict=True) if name != "none"]
    return max(candidates, key=lambda pair: pair[0])


def _node(rows: Probabilities) -> Node:
    """The two strongest edges of a node, the stronger first; of equals the one with the lower input."""
    best = [_strongest(row) for row in rows]
    inputs = sorted(range(len(best)), key=lambda source: -best[source][0])[:SLOTS]
    return tuple(Edge(best[source][1], source) for source in inputs)


def _node_of_pairs(rows: Probabilities) -> Node:
    """The two strongest pairs of a primitive and an input, which may coincide; the first ones of equals."""
    pairs = [
        (p, Edge(name, source))
        for source, row in enumerate(rows)
        for p, name in zip(row, CANDIDATES, strict=True)
        if name != "none"
    ]
    return tuple(edge for _, edge in sorted(pairs, key=lambda pair: -pair[0])[:SLOTS])


def _derived(probabilities: Probabilities, derive_node: Callable[[Probabilities], Node]) -> Genotype:
    """Every node of both cells from the rows of its edges."""
    cells = [probabilities[EDGES * cell : EDGES * (cell + 1)] for cell in range(len(CELLS))]
    bounds = [(edge_index(node, 0), edge_index(node + 1, 0)) for node in range(NODES)]
    return Genotype(*(tuple(derive_node(cell[first:end]) for first, end in bounds) for cell in cells))


def derive_darts(probabilities: Probabilities) -> Genotype:
    """Two edges per node, by the probability of their best primitive other than `none` (DARTS, section 2.4).

    That probability is the one beside `none`, as in the code of the authors.
    """
    return _derived(probabilities, _node)


def derive_pairs(probabilities: Probabilities) -> Genotype:
    """Two pairs of a primitive other than `none` and an input per node, by their probabilities (code of GDAS).

    Both may have the same input, unlike those of `derive_darts`.
    """
    return _derived(probabilities, _node_of_pairs)


def derive_nasbench201(probabilities: Probabilities) -> Benchmarked:
    """The most probable operation of every edge, `none` included (NAS-Bench-201, section 5)."""
    return Benchmarked(tuple(OPERATIONS[max(range(len(row)), key=row.__getitem__)] for row in probabilities))


class Architecture(Protocol):
    """Interface of the architectures of all spaces; they are hashable, and equal if they make the same choices.

    They are immutable data, such as a `NamedTuple`.
    """

    def as_dict(self) -> dict[str, Any]:
        """The form of `genotype.json`; its key `space` names the space."""


@dataclass(frozen=True)
class SearchSpace:
    """A search space; its architectures are data of one type, which only the space itself and its networks know.

    This is all that search, π and the files of a run know of a space. `parsec.space.edges.edge_space` makes one whose
    architectures choose an operation per edge; `parsec.register_space` makes it known by its name.
    """

    name: str
    cells: tuple[str, ...]
    """Cells that are searched, by the names that their factors carry."""
    primitives: tuple[str, ...]
    """Choices of an operation."""
    candidates: tuple[str, ...]
    """Choices of an edge in the form `edges`, `none` among them."""
    shape: tuple[int, ...]
    """Shape of the separate choices of one architecture, as in `ArchitectureBatch.table`."""
    factors: Callable[[Form], tuple[Factor, ...]]
    """The categorical variables of π in a form, in their order."""
    decode: Callable[[list[int], Form], Any]
    """From one choice for every factor to the architecture."""
    encode: Callable[[Any, Form], list[int]]
    """Inverse of `decode`."""
    derive: Callable[[Probabilities], Any]
    """From the probabilities of the form `edges` to the architecture."""
    from_dict: Callable[[object], Any]
    """Inverse of `Architecture.as_dict`; raises GenotypeError."""
    derive_pairs: Callable[[Probabilities], Any] | None = None
    """GDAS' derivation where it differs from `derive`: a node's inputs and operations are chosen together."""
    # What the settings may ask for on this space; the defaults are those of a space with one operation per edge.
    forms: tuple[Form, ...] = ("separate",)
    """Forms of π: `edges` only if the networks have a mixed operation."""
    executors: tuple[str, ...] = ("auto", "sequential")
    """Ways to run the sampled architectures of a step."""
    stems: tuple[str, ...] = ("cifar",)
    least_cells: tuple[int, str] = (1, "")
    """Fewest `cells` of a network, and why."""
    no_retraining: str | None = "only networks of darts are retrained"
    """Why no architecture is retrained; None if some can be."""
    is_drawn: bool = False
    """Whether the report has figures of single searches: of DARTS, and of one cell with an operation per edge."""


DARTS = SearchSpace(
    name="darts",
    cells=darts.CELLS,
    primitives=darts.PRIMITIVES,
    candidates=darts.CANDIDATES,
    shape=(len(darts.CELLS), darts.NODES, darts.SLOTS, 2),
    factors=factors.factors,
    decode=factors.decode,
    encode=factors.encode,
    derive=derive_darts,
    from_dict=darts.from_dict,
    derive_pairs=derive_pairs,
    forms=("separate", "edges"),
    executors=("auto", "sequential", "grouped", "fused"),
    stems=("cifar", "imagenet"),
    least_cells=(3, "two reduce"),
    no_retraining=None,
    is_drawn=True,
)

NASBENCH201 = SearchSpace(
    name="nasbench201",
    cells=(nasbench201.CELL,),
    primitives=nasbench201.OPERATIONS,
    candidates=nasbench201.OPERATIONS,
    shape=(len(nasbench201.EDGES),),
    factors=nasbench201.factors,
    decode=nasbench201.decode,
    encode=nasbench201.encode,
    derive=derive_nasbench201,
    from_dict=nasbench201.from_dict,
    forms=("separate", "edges"),
    no_retraining="its table has the accuracies",
    is_drawn=True,
)

SPACES = Registry[SearchSpace]("space", {space.name: space for space in (DARTS, NASBENCH201)})
"""All spaces by name; `parsec.register_space` adds to them."""


def from_text(text: str) -> Architecture:
    """Read an architecture of any space: a `genotype.json`, the printed `Genotype(...)`, NAS-Bench-201's string.

    JSON without the key `space` is of DARTS.

    Raises:
        GenotypeError: none of these, of an unknown space, or not an architecture of its space.
    """
    text = text.strip()
    if text.startswith("|"):
        return nasbench201.parse(text)
    try:
        document = json.loads(text) if text.startswith(("{", "[")) else printed.fields(text)
    except RecursionError as error:
        raise GenotypeError("the genotype is nested too deeply to be one") from error
    except ValueError as error:
        raise GenotypeError(f"the genotype is not JSON: {error}") from error
    if not isinstance(document, dict):
        raise GenotypeError("the genotype is a JSON list; it must be an object with the keys normal and reduce")
    name = document.get("space", DARTS.name)
    if not isinstance(name, str) or name not in SPACES:
        raise GenotypeError(f"the genotype belongs to space {darts.shown(name)}; there are {', '.join(SPACES)}")
    architecture: Architecture = SPACES[name].from_dict(document)
    return architecture
