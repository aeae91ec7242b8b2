"""Settings of the stage that trains a genotype from scratch and tests it."""

import re
from pathlib import PurePath
from typing import Annotated, Literal, Self, get_args

from pydantic import BeforeValidator, Field, model_validator

from parsec.config.base import (
    NAME,
    Compute,
    Config,
    Fraction,
    Name,
    PathText,
    Positive,
    SearchStageName,
    Seed,
    Space,
    UniqueTuple,
    check_batches,
    check_darts,
)
from parsec.config.training import Augmentation, Optimizer, Stack

Known = Literal["DARTS_V1", "DARTS_V2", "PDARTS", "PC_DARTS_cifar", "PC_DARTS_image"]
"""Names of published genotypes."""


class Given(Config):
    """A genotype that no search of this run selected."""

    name: Name = Field(description="its name in paths and tables")
    file: PathText | None = Field(
        None,
        description="file with a genotype of your own, as JSON or as printed; null: the published one of this name",
    )

    @model_validator(mode="after")
    def check_names(self) -> Self:
        """A published name means one genotype only, here and on the command line."""
        if self.file is None and self.name not in get_args(Known):
            raise ValueError(f"name: got {self.name!r}; allowed without a file: {', '.join(get_args(Known))}")
        if self.file is not None and {self.name, self.file} & set(get_args(Known)):
            raise ValueError(f"name: {self.name} and {self.file}: a published genotype has this name; choose another")
        return self

    def __repr__(self) -> str:
        """As messages name it."""
        return repr(self.name)


def _given(value: object) -> object:
    """A published name, or the path of a file, which is then named after the file."""
    if not isinstance(value, str):
        return value
    if value in get_args(Known):
        return {"name": value}
    if re.fullmatch(NAME, value):
        known = ", ".join(get_args(Known))
        raise ValueError(f'got "{value}"; allowed: one of {known}, or a file with its ending, such as genotype.json')
    stem = PurePath(value).stem
    if not re.fullmatch(NAME, stem):
        raise ValueError(f'"{stem}" of the file {value} cannot be a name; write {{name: ..., file: ...}} instead')
    return {"name": stem, "file": value}


class RetrainAugmentation(Augmentation):
    """Random changes of a training image; with cutout, as DARTS trains its final networks."""

    cutout: Annotated[int, Field(ge=0)] = Field(16, description="side of the square set to zero, pixels; 0: off")


class RetrainStage(Config):
    """Retraining on one data set: the full training set, then one evaluation on the test set."""

    origins: UniqueTuple[SearchStageName] = Field(("search",), description="stages whose genotypes are retrained")
    published: UniqueTuple[
        Annotated[Given, BeforeValidator(_given, json_schema_input_type=Given | Known | PathText)]
    ] = Field((), description="additional genotypes: published ones such as DARTS_V2, and files with your own")
    runs: UniqueTuple[Seed] = Field((0,), description="seeds of the trainings per genotype", min_length=1)
    compare_with: Literal["cifar10", "imagenet"] | None = Field(
        None, description="published results printed below ours"
    )
    network: Stack = Stack()
    epochs: Positive = Field(600, description="passes over the full training set (DARTS)")
    batch_size: Annotated[Positive, Field(ge=2)] = Field(96, description="images of a batch")
    train_images: Positive | None = Field(None, description="number of training images used; null: all")
    auxiliary_weight: Annotated[float, Field(ge=0.0)] = Field(0.4, description="weight of the auxiliary head's loss")
    drop_path: Annotated[Fraction, Field(lt=1.0)] = Field(
        0.2, description="drop-path probability that the linear increase from 0 approaches at the end"
    )
    label_smoothing: Annotated[Fraction, Field(lt=1.0)] = Field(0.0, description="label smoothing")
    multiply_adds: Annotated[float, Field(gt=0.0)] | None = Field(
        None, description="budget; `network.channels` becomes the largest even number below it; null: none"
    )
    average: Annotated[Fraction, Field(gt=0.0, lt=1.0)] | None = Field(
        None, description="decay of a moving average of the weights, which is tested instead of them; null: none"
    )
    optimizer: Optimizer = Optimizer()
    augmentation: RetrainAugmentation = RetrainAugmentation()

    @model_validator(mode="after")
    def check_counts(self) -> Self:
        """Without a whole batch nothing would be trained."""
        check_batches(self.batch_size, train_images=self.train_images)
        return self


class RetrainJob(Config):
    """Training one genotype from scratch on one data set."""

    dataset: Name
    space: Space
    settings: RetrainStage = Field(description="as configured, without the keys that only plan jobs")
    compute: Compute

    @model_validator(mode="after")
    def check_space(self) -> Self:
        """A tabular benchmark holds the accuracies of its space."""
        check_darts(self.space, "accuracies of the others are looked up: `parsec lookup`")
        return self
