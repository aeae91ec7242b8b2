"""Where the workflow and the published tables are: in the clone, or where a wheel has installed them."""

from importlib import metadata
from pathlib import Path

from parsec.errors import UserError


def source_root() -> Path:
    """The folder with `workflow/`, `config/` and `envs/`.

    Raises:
        UserError: neither a clone nor an installed wheel.
    """
    clone = Path(__file__).resolve().parents[1]
    if (clone / "workflow" / "Snakefile").is_file():
        return clone
    try:
        installed = metadata.files("parsec-nas") or []
    except metadata.PackageNotFoundError:
        installed = []
    snakefile = next((file for file in installed if file.match("share/parsec-nas/workflow/Snakefile")), None)
    if snakefile is None:
        raise UserError(f"{clone}: no workflow next to the package parsec; install it with pip, or use a clone")
    return Path(str(snakefile.locate())).resolve().parents[1]


def published_folder() -> Path:
    """The folder with the tables of published results."""
    return source_root() / "config" / "published"
