"""Architectures of the DARTS space at random."""

import numpy as np

from parsec.space.darts import CELLS, NODES, PRIMITIVES, SLOTS
from parsec.space.genotype import Genotype, genotype


def draw(rng: np.random.Generator) -> Genotype:
    """An architecture from PARSEC's uniform prior: input and operation of every slot independent and equally likely."""
    slots = [node for node in range(NODES) for _ in range(SLOTS)]
    cells = (
        [(PRIMITIVES[rng.integers(len(PRIMITIVES))], int(rng.integers(node + 2))) for node in slots] for _ in CELLS
    )
    return genotype(*cells)
