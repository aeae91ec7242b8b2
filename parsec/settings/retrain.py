"""Settings of the stage that trains a found architecture from scratch and tests it."""

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from parsec.settings.base import Distinct, Fraction, Positive, Seed, Strict, check_batches
from parsec.settings.training import Augmentation, Optimizer, Stack

Origin = Literal["search", "finetune", "transfer"]
Published = Literal["DARTS_V1", "DARTS_V2"]


class RetrainAugmentation(Augmentation):
    """Random changes of a training image; with cutout, as DARTS trains its final networks."""

    cutout: Annotated[int, Field(ge=0)] = Field(16, description="side of the square set to zero, pixels; 0: off")


class RetrainStage(Strict):
    """Retraining on one data set: full training set, then the one reading of its test set."""

    origins: Distinct[Origin] = Field(description="stages whose genotypes are retrained")
    published: Distinct[Published] = Field(
        (), description="published genotypes retrained beside them, such as DARTS_V2"
    )
    runs: Distinct[Seed] = Field(description="seeds of the trainings of every genotype", min_length=1)
    compare_with: Literal["cifar10", "imagenet"] | None = Field(None, description="published table printed under ours")
    network: Stack
    epochs: Positive = Field(description="passes over the full training set")
    batch_size: Annotated[Positive, Field(ge=2)] = Field(96, description="images of a batch")
    train_images: Positive | None = Field(None, description="use only so many training images; null: all")
    auxiliary_weight: Annotated[float, Field(ge=0.0)] = Field(0.4, description="weight of the auxiliary head's loss")
    drop_path: Annotated[Fraction, Field(lt=1.0)] = Field(
        0.2, description="drop-path probability that is approached, by equal steps, at the end"
    )
    label_smoothing: Annotated[Fraction, Field(lt=1.0)] = Field(0.0, description="label smoothing")
    multiply_adds: Annotated[float, Field(gt=0.0)] | None = Field(
        None, description="`network.channels` gives way to the largest even number with fewer multiply-adds; null: not"
    )
    average: Annotated[Fraction, Field(gt=0.0, lt=1.0)] | None = Field(
        None, description="decay of a moving average of the weights, which is tested in their place; null: none"
    )
    optimizer: Optimizer = Optimizer()
    augmentation: RetrainAugmentation = RetrainAugmentation()

    @model_validator(mode="after")
    def check_counts(self) -> Self:
        """Without a whole batch nothing would be trained."""
        check_batches(self.batch_size, train_images=self.train_images)
        return self
