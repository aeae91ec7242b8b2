"""Settings of how numbers are computed."""

from typing import Annotated, Literal

from pydantic import Field

from parsec.settings.base import Positive, Strict


class Compute(Strict):
    """How numbers are computed; part of every fingerprint, because it can change the last digits."""

    device: Literal["auto", "cpu", "cuda"] = Field("auto", description="`auto`: CUDA where it is found, else the CPU")
    precision: Literal["auto", "float32", "bfloat16"] = Field(
        "auto", description="of activations; `auto`: bfloat16 on CUDA, float32 on the CPU; likelihoods are float64"
    )
    layout: Literal["auto", "contiguous", "channels_last"] = Field(
        "auto", description="memory layout of images; `auto`: channels last"
    )
    deterministic: bool = Field(True, description="same bytes again on the same CUDA machine, at some speed")
    executor: Literal["auto", "one", "stacked", "table"] = Field(
        "auto",
        description="how K children are run: `one` after another, in the memory of one; `stacked` along channels; "
        "`table`: as data, in launches that one CUDA graph repeats; `auto`: `stacked` where it pays, else `one`",
    )
    samples_in_flight: Positive | None = Field(
        None, description="S, children that `stacked` and `table` run at once; null: as many as `memory_gib` holds"
    )
    memory_gib: Annotated[float, Field(gt=0.0)] = Field(
        4.0, description="memory that the children in flight may take, GiB (2³⁰ bytes)"
    )
    skip_negligible: bool = Field(
        True, description="leave out the backward pass of children whose weight cannot change the gradient's last digit"
    )
    compile: Literal["auto", "on", "off"] = Field(
        "auto", description="retraining: compile the network with `torch.compile`; `auto`: on CUDA only"
    )
