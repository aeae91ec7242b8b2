"""How often π uses each primitive: makes a collapse to skip connections visible."""

from parsec.prior.distribution import Prior
from parsec.space.factors import SEPARATOR


def expected_operations(prior: Prior) -> dict[str, dict[str, float]]:
    """Expected uses of every primitive in each cell under π; the counts of a cell sum to its slots (or edges)."""
    counts = {cell: dict.fromkeys(prior.space.primitives, 0.0) for cell in prior.space.cells}
    for factor, probabilities in zip(prior.factors, prior.marginals().tolist(), strict=True):
        if factor.kind == "input":
            continue
        for choice, probability in zip(factor.choices, probabilities, strict=False):
            counts[factor.cell][choice.split(SEPARATOR)[-1]] += probability
    return counts
