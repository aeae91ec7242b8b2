"""Genotypes known by name, as printed in the DARTS code (cnn/genotypes.py)."""

from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from parsec.errors import GenotypeError
from parsec.space import genotype as darts
from parsec.space import spaces
from parsec.space.genotype import Genotype, genotype
from parsec.space.spaces import Architecture

DARTS_V1 = genotype(
    normal=[
        ("sep_conv_3x3", 1), ("sep_conv_3x3", 0), ("skip_connect", 0), ("sep_conv_3x3", 1),
        ("skip_connect", 0), ("sep_conv_3x3", 1), ("sep_conv_3x3", 0), ("skip_connect", 2),
    ],
    reduce=[
        ("max_pool_3x3", 0), ("max_pool_3x3", 1), ("skip_connect", 2), ("max_pool_3x3", 0),
        ("max_pool_3x3", 0), ("skip_connect", 2), ("skip_connect", 2), ("avg_pool_3x3", 0),
    ],
)  # fmt: skip

DARTS_V2 = genotype(
    normal=[
        ("sep_conv_3x3", 0), ("sep_conv_3x3", 1), ("sep_conv_3x3", 0), ("sep_conv_3x3", 1),
        ("sep_conv_3x3", 1), ("skip_connect", 0), ("skip_connect", 0), ("dil_conv_3x3", 2),
    ],
    reduce=[
        ("max_pool_3x3", 0), ("max_pool_3x3", 1), ("skip_connect", 2), ("max_pool_3x3", 1),
        ("max_pool_3x3", 0), ("skip_connect", 2), ("skip_connect", 2), ("max_pool_3x3", 1),
    ],
)  # fmt: skip

PUBLISHED = {"DARTS_V1": DARTS_V1, "DARTS_V2": DARTS_V2}


A = TypeVar("A")


def named_or_file(name_or_file: str) -> Genotype:
    """A published genotype by its name, or the one in a file.

    Raises:
        GenotypeError: neither, or the file holds no genotype of the DARTS space.
    """
    return PUBLISHED.get(name_or_file) or _in_file(name_or_file, darts.from_json)


def of_any_space(name_or_file: str) -> Architecture:
    """The same, of whichever space the file says.

    Raises:
        GenotypeError: neither, or the file holds no architecture of its space.
    """
    return PUBLISHED.get(name_or_file) or _in_file(name_or_file, spaces.from_json)


def _in_file(name_or_file: str, from_json: Callable[[str], A]) -> A:
    try:
        text = Path(name_or_file).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        known = ", ".join(PUBLISHED)
        raise GenotypeError(f"{name_or_file}: neither a published genotype ({known}) nor a readable file") from error
    try:
        return from_json(text)
    except GenotypeError as error:
        raise GenotypeError(f"{name_or_file}: {error}") from error
