"""Random streams: independent by name, resumed exactly, split into shards."""

import hashlib

import pytest
import torch

from parsec.config.base import seed_of
from parsec.runtime.rng import ShardedRNG, Streams, generator


def draw(stream):
    return torch.rand(5, generator=stream)


def test_seeds_differ_by_every_name():
    seeds = {seed_of(0), seed_of(1), seed_of(0, "a"), seed_of(0, "a", 1), seed_of(0, "a", "1"), seed_of(0, "a1")}
    assert len(seeds) == 6
    assert all(0 <= seed < 2**63 for seed in seeds)


def test_seed_is_machine_independent():
    assert seed_of(3, "order", 7) == int(hashlib.sha256(b'[3, "order", 7]').hexdigest()[:16], 16) // 2


def test_generator_repeats():
    assert torch.equal(draw(generator(1, "x")), draw(generator(1, "x")))


def test_streams_ignore_order_of_use():
    one, two = Streams(0, "cpu"), Streams(0, "cpu")
    draw(one.cpu("a"))
    assert torch.equal(draw(one.cpu("b")), draw(two.cpu("b")))


def test_cpu_and_device_streams_differ():
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


@pytest.mark.parametrize("draw", [lambda d, n: d.uniform(2, 3, n), lambda d, n: d.integers(7, n)])
def test_shards_make_up_the_batch(draw):
    generators = [torch.Generator().manual_seed(3) for _ in range(4)]
    whole = draw(ShardedRNG(generators[0]), 12)
    parts = [draw(ShardedRNG(generator, part, 3), 4) for part, generator in enumerate(generators[1:])]
    assert torch.equal(torch.cat(parts, -1), whole)
    assert all(torch.equal(g.get_state(), generators[0].get_state()) for g in generators)
