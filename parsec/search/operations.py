"""How often each primitive is used: makes a collapse to skip connections visible."""

from parsec.prior.distribution import Prior
from parsec.space.factors import SEPARATOR
from parsec.space.spaces import Architecture, SearchSpace


def expected_operations(prior: Prior) -> dict[str, dict[str, float]]:
    """Expected uses of every primitive in each cell under π; the counts of a cell sum to its slots (or edges)."""
    names = prior.space.candidates if prior.form.factors == "edges" else prior.space.primitives
    counts = {cell: dict.fromkeys(names, 0.0) for cell in prior.space.cells}
    for factor, probabilities in zip(prior.factors, prior.marginals().tolist(), strict=True):
        if factor.kind == "input":
            continue
        for choice, probability in zip(factor.choices, probabilities, strict=False):
            counts[factor.cell][choice.split(SEPARATOR)[-1]] += probability
    return counts


def skip_share(found: Architecture, space: SearchSpace) -> float:
    """Share of skip connections among the edges of an architecture, all its cells together."""
    named = zip(space.factors("separate"), space.encode(found, "separate"), strict=True)
    operations = [factor.choices[index] for factor, index in named if factor.kind == "operation"]
    return operations.count("skip_connect") / len(operations)
