"""Search methods by the name used in settings and paths; a new method is one file and one line here."""

from parsec.search.parsec import Parsec
from parsec.search.task import Method

METHODS: dict[str, type[Method]] = {"parsec": Parsec}
