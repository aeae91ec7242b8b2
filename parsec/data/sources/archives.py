"""Images inside uncompressed tar archives, found once and then read in place: nothing is unpacked."""

import tarfile
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

from parsec.data.sources.encoded import DAMAGED, Piece
from parsec.data.sources.listing import check_name
from parsec.errors import DatasetError


def pieces(archive: Path, start: int = 0) -> Iterator[tuple[str, Piece]]:
    """Name and place of every file of the archive that begins at byte `start` of a file.

    Raises:
        DatasetError: not a tar archive, truncated, or with a name that is not UTF-8.
    """
    try:
        with archive.open("rb") as file:
            file.seek(start)
            with tarfile.open(fileobj=file, mode="r:") as tar:
                for member in tar:
                    if member.isfile():
                        check_name(str(archive), member.name)
                        yield member.name, Piece(str(archive), member.offset_data, member.size)
    except (*DAMAGED, tarfile.TarError) as error:
        raise DatasetError(f"{archive} is no intact tar archive ({error}); get it again") from error


def classes_of(archive: Path) -> Iterator[tuple[str, Piece]]:
    """Class and place of every image of an archive that holds an archive a class, as ILSVRC2012's training images."""
    for name, inner in pieces(archive):
        for _, image in pieces(archive, inner.offset):
            yield PurePosixPath(name).stem, image
