"""Analytic costs: the published counts, and equality with what a built network really holds and computes."""

import pytest
import torch
from multiply_adds import multiply_adds_of
from torch import nn

from parsec.config.training import Network
from parsec.network.cell_network import Cost, FixedNetwork, network_cost
from parsec.network.layers import total
from parsec.space.published import DARTS_V1, DARTS_V2, PUBLISHED

CIFAR = Network(cells=20, channels=36)
IMAGENET = Network(stem="imagenet", cells=14, channels=48)


def counted(network: nn.Module, image_size: int) -> Cost:
    """Parameters and multiply-adds of a network that is built."""
    images = torch.zeros(1, 3, image_size, image_size)
    return Cost(sum(p.numel() for p in network.parameters()), multiply_adds_of(network.eval(), images))


@pytest.mark.parametrize(
    ("genotype", "network", "classes", "side", "parameters", "multiply_adds"),
    [
        (DARTS_V2, CIFAR, 10, 32, 3_349_342, 528_359_040),
        (DARTS_V2, IMAGENET, 1000, 224, 4_718_752, 529_911_552),
        (DARTS_V1, CIFAR, 10, 32, 3_169_414, 500_987_520),
        # The papers print 3.4 M and 4.9 M, 3.6 M and 5.3 M, and 5.3 M parameters.
        (PUBLISHED["PDARTS"], CIFAR, 10, 32, 3_433_798, 532_174_464),
        (PUBLISHED["PDARTS"], IMAGENET, 1000, 224, 4_944_352, 542_819_328),
        (PUBLISHED["PC_DARTS_cifar"], CIFAR, 10, 32, 3_634_678, 556_670_592),
        (PUBLISHED["PC_DARTS_cifar"], IMAGENET, 1000, 224, 5_270_560, 571_137_408),
        (PUBLISHED["PC_DARTS_image"], IMAGENET, 1000, 224, 5_342_464, 581_627_328),
    ],
)
def test_golden_counts_of_published_genotypes(genotype, network, classes, side, parameters, multiply_adds):
    assert network_cost(genotype, network, classes, side) == Cost(parameters, multiply_adds)


@pytest.mark.parametrize(
    ("stem", "cells", "channels", "classes", "side"),
    [("cifar", 3, 4, 10, 8), ("cifar", 8, 6, 7, 15), ("imagenet", 5, 4, 3, 64), ("imagenet", 4, 8, 11, 45)],
)
@pytest.mark.parametrize("seed", range(5))
def test_cost_matches_the_built_network(random_genotype, stem, cells, channels, classes, side, seed):
    genotype, network = random_genotype(seed), Network(stem=stem, cells=cells, channels=channels)
    built = FixedNetwork(genotype, network, classes, side, auxiliary=False)
    assert network_cost(genotype, network, classes, side) == counted(built, side)


def test_every_primitive_is_counted(uniform_genotype):
    for primitive in ("sep_conv_3x3", "sep_conv_5x5", "dil_conv_3x3", "dil_conv_5x5", "skip_connect", "avg_pool_3x3"):
        genotype, network = uniform_genotype(primitive), Network(cells=3, channels=4)
        built = FixedNetwork(genotype, network, 10, 9, auxiliary=False)
        assert network_cost(genotype, network, 10, 9) == counted(built, 9), primitive


def test_total_adds_part_by_part():
    assert total([Cost(1, 2), Cost(10, 20)]) == Cost(11, 22)
    assert total([]) == Cost(0, 0)
