"""Random brightness, contrast and saturation, another for every image; values in [0, 1]."""

from torch import Tensor

from parsec.runtime.draws import Draws

GREY = (0.299, 0.587, 0.114)
"""Share of red, green and blue in the lightness (ITU-R BT.601)."""


def _grey(images: Tensor) -> Tensor:
    red, green, blue = images.unbind(dim=1)
    return (GREY[0] * red + GREY[1] * green + GREY[2] * blue).unsqueeze(1)


def _blend(images: Tensor, other: Tensor | float, factor: Tensor) -> Tensor:
    """`factor` · images + (1 − `factor`) · other, kept in [0, 1]."""
    return (factor * images + (1 - factor) * other).clamp_(0.0, 1.0)


def adjust(images: Tensor, brightness: Tensor, contrast: Tensor, saturation: Tensor) -> Tensor:
    """Change float images [B, 3, H, W] by one factor each, [B, 1, 1, 1]; 1 leaves an image as it is.

    Brightness blends with black, contrast with the mean lightness of the image, saturation with its grey form.
    """
    images = _blend(images, 0.0, brightness)
    images = _blend(images, _grey(images).mean(dim=(1, 2, 3), keepdim=True), contrast)
    return _blend(images, _grey(images), saturation)


def jitter(images: Tensor, strength: float, draws: Draws) -> Tensor:
    """Change images by factors uniform in [1 − strength, 1 + strength]; one draw of [3, B]."""
    uniform = draws.uniform(3, len(images))[..., None, None, None]
    return adjust(images, *(1 + strength * (2 * uniform - 1)))
