"""What other settings must be in a search space that leaves less open than DARTS'."""

from collections.abc import Mapping

from parsec.settings.base import Space
from parsec.settings.search import Prior
from parsec.settings.training import Network


def check_space(space: Space, prior: Prior, executor: str, networks: Mapping[str, Network]) -> None:
    """Refuse what a space does not know.

    Args:
        space: the search space.
        prior: form of π.
        executor: `compute.executor`.
        networks: by the path of their key.

    Raises:
        ValueError: naming the key, what was given and what is allowed.
    """
    if space == "darts":
        for path, network in networks.items():
            if network.cells < 3:
                raise ValueError(f"{path}.cells: got {network.cells}; allowed on {space}: 3 or more (two reduce)")
        return
    if prior.factors == "joint":
        raise ValueError(f"prior.factors: got {prior.factors}; allowed on {space}: separate (an operation an edge)")
    if prior.inputs != "independent":
        raise ValueError(f"prior.inputs: got {prior.inputs}; allowed on {space}: independent (its inputs are given)")
    if executor not in ("auto", "one"):
        raise ValueError(f"compute.executor: got {executor}; allowed on {space}: auto or one")
    for path, network in networks.items():
        if network.stem != "cifar":
            raise ValueError(f"{path}.stem: got {network.stem}; allowed on {space}: cifar")


def check_darts(space: Space, work: str) -> None:
    """Refuse work that only the DARTS space has.

    Raises:
        ValueError: another space.
    """
    if space != "darts":
        raise ValueError(f"space: got {space}; allowed: darts, because {work}")
