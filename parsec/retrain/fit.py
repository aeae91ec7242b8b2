"""The widest network within a budget of multiply-adds, as the mobile regime of ImageNet asks for (< 600 M)."""

from parsec.errors import SettingsError
from parsec.network.complexity import network_cost
from parsec.settings.training import Network
from parsec.space.genotype import Genotype

WIDEST = 4096


def fitted(genotype: Genotype, network: Network, limit: float | None, classes: int, image_size: int) -> Network:
    """`network` with the largest even number of channels whose multiply-adds stay below `limit`; as it is if None.

    Raises:
        SettingsError: two channels are too many already.
    """
    if limit is None:
        return network

    def within(half: int) -> bool:
        wide = network.model_copy(update={"channels": 2 * half})
        return network_cost(genotype, wide, classes, image_size).multiply_adds < limit

    if not within(1):
        raise SettingsError(f"multiply_adds: a network of 2 channels has more than {limit:g}; raise it or lower cells")
    # Multiply-adds grow with the channels, so the largest number within the limit can be bisected.
    low, high = 1, WIDEST // 2
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if within(middle) else (low, middle)
    return network.model_copy(update={"channels": 2 * low})
