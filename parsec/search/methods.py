"""Search methods by the name used in settings and paths; a new method is one file and one line here."""

from parsec.search.base import SearchTrainer
from parsec.search.darts import Darts, DartsSecondOrder
from parsec.search.gdas import Gdas
from parsec.search.parsec import Parsec
from parsec.search.random import RandomSearch, RandomShared
from parsec.search.snas import Snas

METHODS: dict[str, type[SearchTrainer]] = {
    "parsec": Parsec,
    "darts": Darts,
    "darts_second_order": DartsSecondOrder,
    "snas": Snas,
    "gdas": Gdas,
    "random_ws": RandomShared,
    "random": RandomSearch,
}
