"""The categorical choices that make an architecture of NAS-Bench-201: an operation for every edge of its one cell."""

from collections.abc import Sequence

from parsec.errors import GenotypeError
from parsec.space.factors import Factor, Form
from parsec.space.nasbench201 import EDGES, OPERATIONS, Architecture, parse

CELL = "cell"


def factors(form: Form) -> tuple[Factor, ...]:
    """Six factors of five choices in the order of `EDGES`; the slot of an edge is the number of its source.

    The forms `separate` and `edges` are the same here.

    Raises:
        ValueError: a form that chooses inputs together with operations; inputs are given here.
    """
    if form == "joint":
        raise ValueError(f"nasbench201 has no form {form!r}: its edges choose nothing but their operation")
    return tuple(Factor(CELL, node, source, "operation", OPERATIONS) for source, node in EDGES)


def decode(chosen: Sequence[int], form: Form) -> Architecture:
    """Turn one choice for every factor, in the order of `factors`, into an architecture."""
    named = zip(factors(form), chosen, strict=True)
    return Architecture(tuple(factor.choices[index] for factor, index in named))


def encode(found: Architecture, form: Form) -> list[int]:
    """Inverse of `decode`."""
    named = zip(factors(form), found.operations, strict=True)
    return [factor.choices.index(operation) for factor, operation in named]


def from_dict(document: object) -> Architecture:
    """Read the form that `Architecture.as_dict` writes; further keys (where it came from) are ignored.

    Raises:
        GenotypeError: not an architecture of NAS-Bench-201.
    """
    if not isinstance(document, dict) or document.get("space") != "nasbench201":
        raise GenotypeError("the genotype belongs to another space than nasbench201")
    if not isinstance(document.get("cell"), str):
        raise GenotypeError("the genotype of nasbench201 lacks its cell, a text")
    return parse(document["cell"])
