"""The search spaces by name, behind what π and the search need of one."""

import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

from parsec.errors import GenotypeError
from parsec.space import darts, derivation, factors, genotype, nasbench201, nasbench201_factors, printed
from parsec.space.factors import Factor, Form


class Architecture(Protocol):
    """What every space's architectures offer; they are hashable, and equal if they make the same choices."""

    def as_dict(self) -> dict[str, Any]:
        """The form of `genotype.json`; its key `space` names the space."""


@dataclass(frozen=True)
class SearchSpace:
    """A search space; its architectures are data of one type, which only the space itself and its networks know."""

    name: str
    cells: tuple[str, ...]
    """Cells that are searched, by the names that their factors carry."""
    primitives: tuple[str, ...]
    """Choices of an operation."""
    candidates: tuple[str, ...]
    """Choices of an edge in the form `edges`, `none` among them."""
    shape: tuple[int, ...]
    """Shape of the separate choices of one architecture, as `Children.table` holds them."""
    factors: Callable[[Form], tuple[Factor, ...]]
    """The categorical variables of π in a form, in their order."""
    decode: Callable[[list[int], Form], Any]
    """From one choice for every factor to the architecture."""
    encode: Callable[[Any, Form], list[int]]
    """Inverse of `decode`."""
    derive: Callable[[derivation.Probabilities], Any]
    """From the probabilities of the form `edges` to the architecture."""
    from_dict: Callable[[object], Any]
    """Inverse of `Architecture.as_dict`; raises GenotypeError."""


DARTS = SearchSpace(
    name="darts",
    cells=darts.CELLS,
    primitives=darts.PRIMITIVES,
    candidates=darts.CANDIDATES,
    shape=(len(darts.CELLS), darts.NODES, darts.SLOTS, 2),
    factors=factors.factors,
    decode=factors.decode,
    encode=factors.encode,
    derive=derivation.derive_darts,
    from_dict=genotype.from_dict,
)

NASBENCH201 = SearchSpace(
    name="nasbench201",
    cells=(nasbench201_factors.CELL,),
    primitives=nasbench201.OPERATIONS,
    candidates=nasbench201.OPERATIONS,
    shape=(len(nasbench201.EDGES),),
    factors=nasbench201_factors.factors,
    decode=nasbench201_factors.decode,
    encode=nasbench201_factors.encode,
    derive=derivation.derive_nasbench201,
    from_dict=nasbench201_factors.from_dict,
)

SPACES = {space.name: space for space in (DARTS, NASBENCH201)}


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
        raise GenotypeError(f"the genotype belongs to space {genotype.shown(name)}; there are {', '.join(SPACES)}")
    found: Architecture = SPACES[name].from_dict(document)
    return found
