"""Settings shared by searching and retraining: network size, augmentation and the optimiser of the weights."""

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from parsec.config.base import Config, Fraction, Momentum, Positive, Rate


class Network(Config):
    """Size of a cell network (DARTS, section 3; NAS-Bench-201, section 2.1)."""

    stem: Literal["cifar", "imagenet"] = Field(
        "cifar", description="`cifar`: one 3 × 3 convolution; `imagenet`: three of stride 2, for large images"
    )
    cells: Annotated[Positive, Field(le=100)] = Field(
        8, description="cells in the stack, 3 or more, of which two reduce (DARTS); on nasbench201 cells of a stage"
    )
    channels: Annotated[Positive, Field(ge=2, multiple_of=2)] = Field(
        16, description="channels of the first cell (DARTS)"
    )


class Stack(Network):
    """Size of a network of DARTS' cells, by default the one that DARTS retrains on CIFAR-10."""

    cells: Annotated[Positive, Field(ge=3, le=100)] = Field(
        20, description="cells in the stack; two of them reduce (DARTS)"
    )
    channels: Annotated[Positive, Field(ge=2, multiple_of=2)] = Field(
        36, description="channels of the first cell (DARTS)"
    )


class Augmentation(Config):
    """Random changes of a training image, sampled again for every image of every batch."""

    crop: Literal["none", "pad", "resized"] = Field(
        "pad", description="`pad`: shift within a zero border; `resized`: random area and aspect ratio (ImageNet)"
    )
    padding: Annotated[int, Field(ge=0, le=64)] = Field(4, description="zero border of `pad`, pixels")
    size: Positive | None = Field(None, description="side of the image that the network sees, pixels; null: as stored")
    scale: Annotated[Fraction, Field(gt=0.0)] = Field(
        0.08, description="smallest area of `resized`, share of the image"
    )
    flip: bool = Field(True, description="mirror half of the images")
    cutout: Annotated[int, Field(ge=0)] = Field(0, description="side of the square set to zero, pixels; 0: off")
    colour_jitter: Fraction = Field(0.0, description="strength of brightness, contrast and saturation changes")


class Optimizer(Config):
    """Stochastic gradient descent with momentum for network weights (DARTS recipe)."""

    learning_rate: Rate = Field(0.025, description="initial learning rate")
    schedule: Literal["cosine", "exponential"] = Field("cosine", description="how the learning rate falls, per epoch")
    final_learning_rate: Annotated[float, Field(ge=0.0)] = Field(0.0, description="`cosine`: rate it ends at")
    decay: Annotated[Fraction, Field(gt=0.0)] = Field(0.97, description="`exponential`: factor per epoch")
    momentum: Momentum = Field(0.9, description="momentum")
    weight_decay: Annotated[float, Field(ge=0.0, le=1.0)] = Field(3e-4, description="L2 penalty")
    gradient_clip: Annotated[float, Field(gt=0.0)] = Field(5.0, description="largest L2 norm of the whole gradient")

    @model_validator(mode="after")
    def check_final(self) -> Self:
        """The rate falls; a final rate above the first is a slip of the pen."""
        if self.schedule == "cosine" and self.final_learning_rate > self.learning_rate:
            allowed = f"at most learning_rate ({self.learning_rate})"
            raise ValueError(f"final_learning_rate: got {self.final_learning_rate}; allowed: {allowed}")
        return self
