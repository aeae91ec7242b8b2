"""The fixed network: structure, auxiliary head, drop-path, sides and memory layout."""

import pytest
import torch

from parsec.config.training import Network
from parsec.errors import SettingsError
from parsec.network.cell_network import FixedNetwork
from parsec.network.layers import initialise
from parsec.runtime.rng import ShardedRNG
from parsec.space.published import DARTS_V2

SMALL = Network(cells=3, channels=4)


def rng(seed=0):
    return ShardedRNG(torch.Generator().manual_seed(seed))


def built(genotype=DARTS_V2, network=SMALL, classes=10, side=8, auxiliary=False):
    made = FixedNetwork(genotype, network, classes, side, auxiliary)
    initialise(made, torch.Generator().manual_seed(0))
    return made


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize(("stem", "side"), [("cifar", 8), ("cifar", 13), ("imagenet", 64), ("imagenet", 50)])
def test_random_genotypes_train_at_any_side(random_genotype, seed, stem, side):
    network = built(random_genotype(seed), Network(stem=stem, cells=5, channels=4), 7, side, auxiliary=True)
    images = torch.randn(2, 3, side, side)
    logits, auxiliary = network(images, network.masks(images, 0.3, rng()))
    assert logits.shape == auxiliary.shape == (2, 7)
    (logits.sum() + auxiliary.sum()).backward()
    assert all(p.grad is None or p.grad.isfinite().all() for p in network.parameters())


@pytest.mark.parametrize("cells", [3, 6, 8, 20])
def test_reductions_lie_at_the_thirds(cells):
    network, shapes = built(network=Network(cells=cells, channels=2)), []
    for cell in network.cells:
        cell.register_forward_hook(lambda layer, inputs, output: shapes.append(tuple(output.shape[1:3])))
    network.eval()(torch.zeros(1, 3, 8, 8))
    thirds = [(i >= cells // 3) + (i >= 2 * cells // 3) for i in range(cells)]
    assert shapes == [(8 * 2**third, 8 // 2**third) for third in thirds]


def test_cell_output_follows_its_genotype():
    """The first normal cell of DARTS_V2, written out by hand."""
    cell = built().cells[0].eval()
    x, y = torch.randn(2, 12, 8, 8), torch.randn(2, 12, 8, 8)
    s0, s1, edge = cell.before(x), cell.previous(y), cell.edges
    node0 = edge[0](s0) + edge[1](s1)
    node1 = edge[2](s0) + edge[3](s1)
    node2 = edge[4](s1) + s0
    node3 = s0 + edge[7](node0)
    torch.testing.assert_close(cell(x, y, None), torch.cat([node0, node1, node2, node3], 1))


def test_auxiliary_head_runs_only_in_training():
    network, images = built(auxiliary=True), torch.randn(2, 3, 8, 8)
    assert network(images)[1] is not None
    assert network.eval()(images)[1] is None
    assert built()(images)[1] is None
    assert not any("auxiliary" in name for name in built().state_dict())


def test_auxiliary_head_refuses_too_small_images():
    with pytest.raises(SettingsError, match="too small"):
        built(side=4, auxiliary=True)
    assert built(side=4)(torch.randn(2, 3, 4, 4))[0].shape == (2, 10)


def test_drop_path_is_off_at_zero():
    network, images = built(), torch.randn(4, 3, 8, 8)
    half, none = (network.masks(images, probability, rng()) for probability in (0.5, 0.0))
    assert not torch.equal(network(images, half)[0], network(images)[0])
    assert torch.equal(network(images, none)[0], network(images)[0])


def test_seeded_drop_path_accepts_tensor_probability():
    network, images = built(), torch.randn(4, 3, 8, 8)

    def run(probability, seed):
        return network(images, network.masks(images, probability, rng(seed)))[0]

    assert torch.equal(run(0.5, 1), run(torch.tensor(0.5), 1))
    assert not torch.equal(run(0.5, 1), run(0.5, 2))


def test_drop_path_masks_edges_preserving_mean():
    cells = built(network=Network(cells=3, channels=2))
    masks = cells.masks(torch.empty(2000, 1), 0.2, rng())
    assert masks.shape == (sum(cells.drops), 2000, 1, 1, 1)
    assert set(masks.unique().tolist()) == {0.0, 1.25}
    assert abs(float(masks.mean()) - 1) < 0.01
    assert abs(float((masks == 0).float().mean()) - 0.2) < 0.01


def test_drop_path_spares_identity_not_reduction(uniform_genotype):
    network = built(uniform_genotype("skip_connect"))
    assert [len(cell.dropped) for cell in network.cells] == [0, 3, 3]
    normal, reduction = network.cells[0], network.cells[1]
    x = torch.randn(2, 12, 8, 8)
    assert normal(x, x, torch.zeros(0, 2, 1, 1, 1)).abs().sum() > 0
    x = reduction(torch.randn(2, 12, 8, 8), torch.randn(2, 16, 8, 8), torch.zeros(3, 2, 1, 1, 1))
    assert x.abs().sum() == 0


def test_channels_last_gives_the_same_outputs():
    network, images = built(), torch.randn(4, 3, 8, 8)
    expected = network(images)[0]
    last = built().to(memory_format=torch.channels_last)
    torch.testing.assert_close(last(images.to(memory_format=torch.channels_last))[0], expected)


def test_initial_weights_depend_only_on_generator():
    torch.manual_seed(1)
    first = built().state_dict()
    torch.manual_seed(2)
    second = built().state_dict()
    assert all(torch.equal(first[name], second[name]) for name in first)
    other = FixedNetwork(DARTS_V2, SMALL, 10, 8, auxiliary=False)
    initialise(other, torch.Generator().manual_seed(9))
    assert not torch.equal(other.classifier.linear.weight, first["classifier.linear.weight"])


def test_initial_weights_have_pytorchs_spread():
    network = built(network=Network(cells=3, channels=16))
    weight = network.classifier.linear.weight.detach()
    assert weight.abs().max() <= weight.shape[1] ** -0.5
    assert float(weight.std()) == pytest.approx((3 * weight.shape[1]) ** -0.5, rel=0.05)


def test_the_network_compiles_as_one_graph():
    network, images = built().eval(), torch.randn(2, 3, 8, 8)
    compiled = torch.compile(network, backend="eager", fullgraph=True)
    torch.testing.assert_close(compiled(images)[0], network(images)[0])
