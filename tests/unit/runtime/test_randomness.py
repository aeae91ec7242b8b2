"""Random streams: told apart by name, and continued exactly."""

import hashlib

import torch

from parsec.runtime.rng import Streams, generator
from parsec.runtime.seeds import seed_of


def draw(stream):
    return torch.rand(5, generator=stream)


def test_seeds_have_63_bits_and_differ_by_every_part():
    seeds = {seed_of(0), seed_of(1), seed_of(0, "a"), seed_of(0, "a", 1), seed_of(0, "a", "1"), seed_of(0, "a1")}
    assert len(seeds) == 6
    assert all(0 <= seed < 2**63 for seed in seeds)


def test_seed_is_the_same_on_every_machine():
    assert seed_of(3, "order", 7) == int(hashlib.sha256(b'[3, "order", 7]').hexdigest()[:16], 16) // 2


def test_generator_repeats():
    assert torch.equal(draw(generator(1, "x")), draw(generator(1, "x")))


def test_streams_do_not_depend_on_the_order_of_use():
    one, two = Streams(0, "cpu"), Streams(0, "cpu")
    draw(one.cpu("a"))
    assert torch.equal(draw(one.cpu("b")), draw(two.cpu("b")))


def test_cpu_and_device_streams_of_one_name_differ():
    streams = Streams(0, "cpu")
    assert not torch.equal(draw(streams.cpu("a")), draw(streams.device("a")))


def test_state_continues_every_stream():
    one = Streams(0, "cpu")
    draw(one.cpu("a")), draw(one.device("b"))
    state = one.state_dict()
    expected = [draw(one.cpu("a")), draw(one.device("b")), draw(one.cpu("c"))]
    two = Streams(0, "cpu")
    held = two.cpu("a")
    draw(two.cpu("c"))
    two.load_state_dict(state)
    assert all(map(torch.equal, expected, [draw(held), draw(two.device("b")), draw(two.cpu("c"))]))
