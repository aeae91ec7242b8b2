"""What an image file looks like to a network: bit depths, orientation, alpha, and whatever is no image."""

import io
import os
import struct
import warnings
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import ExifTags, Image, ImageOps

from parsec.data.sources.encoded import Piece, read_rgb
from parsec.errors import DatasetError

DEEP = np.array([[0, 255, 256], [3600, 65279, 65535]], dtype=np.uint16)
SCALED = [[0, 0, 1], [14, 254, 255]]


def encoded(image: Image.Image, kind: str, **options) -> bytes:
    file = io.BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()


def photo(mode: str = "RGB") -> Image.Image:
    noise = np.random.default_rng(0).integers(0, 256, (5, 7, 3), dtype=np.uint8)
    return Image.fromarray(noise).convert(mode)


def deep_rgb_png() -> bytes:
    """A PNG of one red pixel of 16 bits per channel, which Pillow reads and does not write."""
    chunks = ((b"IHDR", struct.pack(">2I5B", 1, 1, 16, 2, 0, 0, 0)), (b"IDAT", zlib.compress(b"\0\xff\xff\0\xff\1\0")))
    parts = [
        struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body)) for kind, body in chunks
    ]
    return b"\x89PNG\r\n\x1a\n" + b"".join(parts) + struct.pack(">I4sI", 0, b"IEND", zlib.crc32(b"IEND"))


@pytest.mark.parametrize("kind", ["PNG", "TIFF", "PPM", "big-endian TIFF"])
def test_sixteen_bits_are_scaled_to_eight(kind: str) -> None:
    content = encoded(Image.fromarray(DEEP), kind) if "big" not in kind else big_endian_tiff()
    pixels = np.asarray(read_rgb(content, "deep"))
    assert pixels.dtype == np.uint8
    assert [pixels[..., channel].tolist() for channel in range(3)] == [SCALED] * 3


def big_endian_tiff() -> bytes:
    tags = ((256, 3), (257, 2), (258, 16), (259, 1), (262, 1), (273, 8), (277, 1), (278, 2), (279, 12))
    entries = b"".join(struct.pack(">HHIHH", tag, 3, 1, value, 0) for tag, value in tags)
    pixels = DEEP.astype(">u2").tobytes()
    return b"MM\0*" + struct.pack(">I", 8 + len(pixels)) + pixels + struct.pack(">H", len(tags)) + entries + bytes(4)


def test_sixteen_bit_rgb_is_scaled() -> None:
    assert np.asarray(read_rgb(deep_rgb_png(), "deep")).tolist() == [[[255, 0, 1]]]


@pytest.mark.parametrize(("values", "mode"), [(np.int32, "I"), (np.float32, "F")])
def test_values_of_32_bits_are_refused(values: type, mode: str) -> None:
    with pytest.raises(DatasetError, match=rf"scan\.tif: mode {mode} .32 bits per value.*convert it to 8 or 16 bits"):
        read_rgb(encoded(Image.fromarray(np.ones((2, 2), values)), "TIFF"), "scan.tif")


@pytest.mark.parametrize("kind", ["PNG", "TIFF", "WEBP", "JPEG"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_images_are_turned_upright(kind: str, orientation: int) -> None:
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = orientation
    content = encoded(photo(), kind, exif=exif, **({"lossless": True} if kind == "WEBP" else {}))
    expected = ImageOps.exif_transpose(Image.open(io.BytesIO(content)))
    assert expected.size == ((7, 5) if orientation < 5 else (5, 7))
    assert np.array_equal(read_rgb(content, "turned"), expected)


@pytest.mark.parametrize("exif", [b"Exif\0\0MM\0*\0\0", b"Exif\0\0", b"Exif\0\0nonsense"])
def test_image_with_damaged_exif_is_read(exif: bytes) -> None:
    whole = encoded(photo(), "JPEG")
    damaged = whole[:2] + b"\xff\xe1" + struct.pack(">H", len(exif) + 2) + exif + whole[2:]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        assert np.array_equal(read_rgb(damaged, "photo"), read_rgb(whole, "photo"))


def test_transparency_is_dropped_colours_kept() -> None:
    clear = Image.new("RGBA", (2, 2), (200, 10, 90, 0))
    indexed = Image.new("P", (2, 2))
    indexed.putpalette([200, 10, 90])
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for content in (encoded(clear, "PNG"), encoded(indexed, "PNG", transparency=b"\0")):
            assert np.asarray(read_rgb(content, "clear")).tolist() == [[[200, 10, 90]] * 2] * 2


@pytest.mark.parametrize(("content", "reason"), [(b"", "the file is empty"), (b"text", "no image of a kind that")])
def test_what_is_no_image_is_named(content: bytes, reason: str) -> None:
    with pytest.raises(DatasetError, match=rf"cannot decode the image notes\.png: {reason}"):
        read_rgb(content, "notes.png")


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "TIFF", "WEBP", "BMP", "PPM"])
@pytest.mark.filterwarnings("ignore")
def test_damaged_images_fail_in_one_line(kind: str) -> None:
    whole, rng, said = encoded(photo(), kind), np.random.default_rng(1), []
    for _ in range(100):
        content = bytearray(whole[: rng.integers(1, len(whole) + 1)])
        for place in rng.integers(0, len(content), 3):
            content[place] = rng.integers(256)
        try:
            assert read_rgb(bytes(content), "damaged.x").mode == "RGB"
        except DatasetError as error:
            said.append(str(error))
    assert said
    assert all(line.startswith("cannot decode the image damaged.x: ") for line in said)
    assert not any("\n" in line or "<_io" in line for line in said)


def test_named_pipe_is_refused_without_waiting(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "x.jpg")
    with pytest.raises(DatasetError, match=r"x\.jpg is no regular file"):
        Piece(str(tmp_path / "x.jpg")).read()
    with pytest.raises(DatasetError, match=r"cannot read the image .*gone\.jpg: No such file"):
        Piece(str(tmp_path / "gone.jpg")).read()
