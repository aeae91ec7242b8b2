"""Cost of finding a genotype: the search that found it and every search whose π it started from."""

from collections.abc import Iterable
from typing import Any

from parsec.errors import UserError

GPU_DAYS = "GPU-days"
CPU_HOURS = "CPU-hours"
SECONDS = {GPU_DAYS: 86_400.0, CPU_HOURS: 3_600.0}

Result = dict[str, Any]
Cost = dict[str, float]
"""Amount by unit; two units where one stage ran on a GPU and another on the CPU."""
SearchKey = tuple[str, str, int]


def by_key(results: Iterable[Result]) -> dict[SearchKey, Result]:
    """Of these results those that a π comes from, searches and fits, by stage, method and seed.

    Raises:
        UserError: two results of one search.
    """
    found: dict[SearchKey, Result] = {}
    for result in (result for result in results if result["kind"] in ("search", "fit")):
        key = (result["stage"], result["method"], result["seed"])
        if key in found:
            raise UserError(f"two results of {_name(key)} were given; give those of one run only")
        found[key] = result
    return found


def lineage(searches: dict[SearchKey, Result], key: SearchKey) -> list[Result]:
    """The search `key` and its ancestors, the first one last.

    Raises:
        UserError: one of them is missing, so that its cost is unknown.
    """
    chain: list[Result] = []
    step: SearchKey | None = key
    while step is not None:
        if step not in searches:
            raise UserError(f"the result of {_name(step)} is missing, so the search cost is unknown; give it too")
        chain.append(searches[step])
        parent = chain[-1]["parent"]
        step = parent and (parent["stage"], parent["method"], parent["seed"])
    return chain


def cumulative(chain: Iterable[Result]) -> Cost:
    """Device time of all stages of a lineage: GPU-days where an accelerator was held, CPU-hours elsewhere."""
    total: Cost = {}
    for result in chain:
        unit = GPU_DAYS if result["cost"]["accelerator"] else CPU_HOURS
        total[unit] = total.get(unit, 0.0) + result["cost"]["device_seconds"] / SECONDS[unit]
    return total


def mean_cost(costs: list[Cost]) -> Cost:
    """Mean over searches, unit by unit."""
    units = {unit: None for cost in costs for unit in cost}
    return {unit: sum(cost.get(unit, 0.0) for cost in costs) / len(costs) for unit in units}


def _name(key: SearchKey) -> str:
    return f"{key[0]} with {key[1]}, seed {key[2]}"
