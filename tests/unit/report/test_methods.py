"""Methods as reports show them: one name and look each, and variants that differ from their method."""

from typing import get_args

from parsec.config.base import Method
from parsec.report.methods import BLUE, METHODS, base_of, described, display_name


def test_names_of_variants_begin_with_their_method():
    assert display_name("random_ws") == "Random search (shared weights)"
    assert display_name("mean", "parsec") == "PARSEC, mean"
    assert display_name("lower-rate-50", "parsec") == "PARSEC, lower rate 50"
    assert display_name("snas-mild") == "SNAS, mild"
    assert display_name("darts_second_order-short") == "DARTS (2nd order), short"


def test_recorded_method_comes_before_the_name():
    assert base_of("snas-like", "gdas") == "gdas"
    assert base_of("mean") == "parsec"


def test_every_method_has_a_look():
    assert set(get_args(Method)) <= set(METHODS)


def test_looks_differ():
    names = ["parsec", *(f"v{i}" for i in range(40)), "snas", "snas-mild"]
    methods = described(dict.fromkeys(names))
    assert methods["parsec"].line.colour == BLUE
    assert len({method.line for method in methods.values()}) == len(names)
    assert list(methods)[-2:] == ["snas", "snas-mild"]
    assert described(dict.fromkeys(reversed(names))) == methods
    searched = [METHODS[name].line for name in get_args(Method)]
    assert len({line.marker for line in searched}) == len({line.colour for line in searched}) == len(searched)
