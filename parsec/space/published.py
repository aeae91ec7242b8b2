"""Genotypes known by name, as DARTS, P-DARTS and PC-DARTS print them (genotypes.py), and the reader of all others."""

import re
from pathlib import Path

from parsec.errors import GenotypeError
from parsec.space.darts import Genotype, genotype
from parsec.space.spaces import Architecture, from_text

LARGEST = 1_000_000
"""Bytes of a file with a genotype, which takes less than a thousand; a larger file is something else."""

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

PDARTS = genotype(
    normal=[
        ("skip_connect", 0), ("dil_conv_3x3", 1), ("skip_connect", 0), ("sep_conv_3x3", 1),
        ("sep_conv_3x3", 1), ("sep_conv_3x3", 3), ("sep_conv_3x3", 0), ("dil_conv_5x5", 4),
    ],
    reduce=[
        ("avg_pool_3x3", 0), ("sep_conv_5x5", 1), ("sep_conv_3x3", 0), ("dil_conv_5x5", 2),
        ("max_pool_3x3", 0), ("dil_conv_3x3", 1), ("dil_conv_3x3", 1), ("dil_conv_5x5", 3),
    ],
)  # fmt: skip

PC_DARTS_CIFAR = genotype(
    normal=[
        ("sep_conv_3x3", 1), ("skip_connect", 0), ("sep_conv_3x3", 0), ("dil_conv_3x3", 1),
        ("sep_conv_5x5", 0), ("sep_conv_3x3", 1), ("avg_pool_3x3", 0), ("dil_conv_3x3", 1),
    ],
    reduce=[
        ("sep_conv_5x5", 1), ("max_pool_3x3", 0), ("sep_conv_5x5", 1), ("sep_conv_5x5", 2),
        ("sep_conv_3x3", 0), ("sep_conv_3x3", 3), ("sep_conv_3x3", 1), ("sep_conv_3x3", 2),
    ],
)  # fmt: skip

PC_DARTS_IMAGENET = genotype(
    normal=[
        ("skip_connect", 1), ("sep_conv_3x3", 0), ("sep_conv_3x3", 0), ("skip_connect", 1),
        ("sep_conv_3x3", 1), ("sep_conv_3x3", 3), ("sep_conv_3x3", 1), ("dil_conv_5x5", 4),
    ],
    reduce=[
        ("sep_conv_3x3", 0), ("skip_connect", 1), ("dil_conv_5x5", 2), ("max_pool_3x3", 1),
        ("sep_conv_3x3", 2), ("sep_conv_3x3", 1), ("sep_conv_5x5", 0), ("sep_conv_3x3", 3),
    ],
)  # fmt: skip

PUBLISHED = {
    "DARTS_V1": DARTS_V1,
    "DARTS_V2": DARTS_V2,
    "PDARTS": PDARTS,
    "PC_DARTS_cifar": PC_DARTS_CIFAR,
    "PC_DARTS_image": PC_DARTS_IMAGENET,
}
"""By the names that their authors gave them; searched on CIFAR-10 except for the last one, searched on ImageNet."""


def read_genotype(source: str) -> Genotype:
    """A published genotype by name, or one read from a file or from text.

    Raises:
        GenotypeError: none of these, or no genotype of the DARTS space.
    """
    genotype = read_architecture(source)
    if not isinstance(genotype, Genotype):
        space = genotype.as_dict()["space"]
        raise GenotypeError(f"{_label(source)}the genotype belongs to space {space!r}, not to darts")
    return genotype


def read_architecture(source: str) -> Architecture:
    """The same, of whichever space it is.

    Raises:
        GenotypeError: none of these, or no architecture of its space.
    """
    content = content_of(source)
    if content is None:
        return PUBLISHED[source]
    try:
        # Editors of Windows put a mark before UTF-8.
        return from_text(content.decode("utf-8-sig"))
    except UnicodeDecodeError as error:
        raise GenotypeError(f"{source}: not UTF-8 text; give a genotype.json or a text file") from error
    except GenotypeError as error:
        raise GenotypeError(f"{_label(source)}{error}") from error


def content_of(source: str) -> bytes | None:
    """The bytes of a genotype that is given by a file or by its text; None if it is given by its published name.

    Raises:
        GenotypeError: neither a name nor text nor a file of the size of a genotype.
    """
    if source in PUBLISHED:
        return None
    if _is_text(source):
        return source.encode("utf-8", "surrogateescape")
    path = Path(source)
    try:
        # Anything but a regular file, such as a pipe, might never end.
        if path.is_file():
            with path.open("rb") as file:
                content = file.read(LARGEST + 1)
            if len(content) > LARGEST:
                raise GenotypeError(f"{source}: larger than {LARGEST:,} bytes, so no genotype; give another file")
            return content
        reason = "nor a readable file"
    except (OSError, ValueError) as error:
        reason = f"nor a readable file ({getattr(error, 'strerror', None) or error})"
    raise GenotypeError(f"{source}: neither a published genotype ({', '.join(PUBLISHED)}) {reason}")


def _is_text(source: str) -> bool:
    """Whether an argument is a genotype itself: JSON, the printed form or NAS-Bench-201's string."""
    return bool(re.match(r"\s*[{|]|[^/]*\bGenotype\s*\(\s*[a-z\[(]", source))


def _label(source: str) -> str:
    """How a message begins: with the file, if it was one."""
    return "" if _is_text(source) else f"{source}: "
