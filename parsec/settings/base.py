"""What every part of the settings tree has in common: strict, frozen, and free of surprises."""

import re
from collections import Counter
from pathlib import PurePath
from typing import Annotated, Literal, TypeVar

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

Name = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_-]*$", max_length=64)]
"""A name that becomes part of a path: letters, digits, `_` and `-`."""


def _plain_path(path: str) -> str:
    if re.search(r"[\x00-\x1f\x7f{}<>]|^-", path):
        raise ValueError(f"got {path!r}; allowed: a path without {{ }} < > and line breaks that does not begin with -")
    return str(PurePath(path))


Place = Annotated[str, Field(min_length=1), AfterValidator(_plain_path)]
"""A folder whose name goes into patterns of Snakemake, to which braces and angle brackets mean something."""

Space = Literal["darts", "nasbench201"]
Method = Literal["parsec", "darts", "darts2", "snas", "gdas", "random_shared", "random"]

Positive = Annotated[int, Field(ge=1)]
Fraction = Annotated[float, Field(ge=0.0, le=1.0)]
Momentum = Annotated[float, Field(ge=0.0, lt=1.0)]
Rate = Annotated[float, Field(gt=0.0, le=10.0)]
Seed = Annotated[int, Field(ge=0, lt=2**31)]

Item = TypeVar("Item")


def _without_repeats(values: tuple[Item, ...]) -> tuple[Item, ...]:
    repeated = next((value for value, count in Counter(values).items() if count > 1), None)
    if repeated is not None:
        raise ValueError(f"{repeated!r} is listed twice")
    return values


Distinct = Annotated[tuple[Item, ...], AfterValidator(_without_repeats), Field(json_schema_extra={"uniqueItems": True})]
"""A list without repeats: a seed listed twice would be one run that counts as two."""


def check_batches(batch_size: int, **images: int | None) -> None:
    """A part must hold at least one batch, because an incomplete one is dropped in training.

    Raises:
        ValueError: naming the key whose number of images is too small.
    """
    for key, count in images.items():
        if count is not None and count < batch_size:
            raise ValueError(f"{key}: got {count}; allowed: at least batch_size ({batch_size})")


class Strict(BaseModel):
    """A branch of the tree: unknown keys and wrong types are errors, and nothing changes after loading."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, allow_inf_nan=False)
