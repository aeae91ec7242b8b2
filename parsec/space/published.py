"""Genotypes known by name, as printed in the DARTS code (cnn/genotypes.py)."""

from pathlib import Path

from parsec.errors import GenotypeError
from parsec.space.genotype import Genotype, from_json, genotype

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


def named_or_file(name_or_file: str) -> Genotype:
    """A published genotype by its name, or the one in a file.

    Raises:
        GenotypeError: neither, or the file holds no genotype of the space.
    """
    if name_or_file in PUBLISHED:
        return PUBLISHED[name_or_file]
    try:
        text = Path(name_or_file).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        known = ", ".join(PUBLISHED)
        raise GenotypeError(f"{name_or_file}: neither a published genotype ({known}) nor a readable file") from error
    try:
        return from_json(text)
    except GenotypeError as error:
        raise GenotypeError(f"{name_or_file}: {error}") from error
