"""DARTS, GDAS and SNAS: their gradients, samples, temperatures, and the constraint of SNAS."""

import pytest
import torch
import torch.nn.functional as F
from searches import advance

from parsec.config.base import RELAXED
from parsec.config.search import Relaxation, SearchOptimizer, Warmup
from parsec.config.training import Network
from parsec.network.nasbench201 import BenchmarkSupernet
from parsec.network.spaces import mixed_op_network
from parsec.network.supernet import Supernet
from parsec.search.darts import Darts, DartsSecondOrder, hessian_product, unrolled_gradient
from parsec.search.gdas import Gdas, concrete, gumbel, straight_through
from parsec.search.methods import METHODS
from parsec.search.snas import Snas
from parsec.space.nasbench201 import OPERATIONS


def spied(trainer, monkeypatch):
    """The list into which the mixtures of all passes go."""
    seen, original = [], trainer._mixed
    monkeypatch.setattr(
        trainer, "_mixed", lambda mixture, images: seen.append(mixture.detach()) or original(mixture, images)
    )
    return seen


def test_darts_prior_step_descends_validation_loss(make_task, monkeypatch):
    """Adam's first step has the size of the learning rate against the gradient, weight decay included."""
    trainer = Darts(make_task(method="darts", space="nasbench201"))
    before = trainer.prior.logits.detach().clone()
    batch = trainer.batches.validation(0)
    loss = trainer.loss(trainer._mixture(), batch)
    gradient = torch.autograd.grad(loss, trainer.prior.logits)[0] + 1e-3 * before
    monkeypatch.setattr(trainer.batches, "validation", lambda _: batch)
    trainer.advance()
    moved = trainer.prior.logits.detach() - before
    torch.testing.assert_close(moved, -0.1 * gradient / (gradient.abs() + 1e-8), rtol=1e-4, atol=0)


def test_initial_logits_follow_the_recipe(make_task):
    logits = Darts(make_task(method="darts")).prior.logits.detach()
    assert logits.shape == (28, 8)
    assert float(logits.std()) == pytest.approx(1e-3, rel=0.2)
    still = make_task(method="darts", relaxation={"initial_deviation": 0.0})
    assert not Darts(still).prior.logits.any()


def test_darts_mixture_in_both_steps(make_task, monkeypatch):
    trainer = Darts(make_task(method="darts", prior_rate=1e-6))
    seen = spied(trainer, monkeypatch)
    trainer.advance()
    assert [mixture.shape for mixture in seen] == [(2, 14, 8)] * 2
    torch.testing.assert_close(seen[-1].sum(-1), torch.ones(2, 14, dtype=torch.float64))
    assert bool((seen[-1] > 0.1).all())


def test_warmup_leaves_the_prior(make_task):
    for name in RELAXED:
        trainer = METHODS[name](make_task(method=name, space="nasbench201", warmup=Warmup(epochs=1)))
        before = trainer.prior.logits.detach().clone()
        trainer.advance()
        assert torch.equal(trainer.prior.logits, before)


class Smallest:
    """A relaxed network of either space with two losses, in float64."""

    def __init__(self, kind, shape):
        rng = torch.Generator().manual_seed(0)
        network = kind(Network(cells=3, channels=2), 5, rng, dtype=torch.float64)
        self.mixed, self.weights = mixed_op_network(network), network.weights
        self.logits = torch.randn(shape, generator=rng, dtype=torch.float64).requires_grad_()
        self.images = torch.randn(2, 8, 3, 8, 8, generator=rng, dtype=torch.float64)
        self.vector = torch.randn(self.weights.flat.shape, generator=rng, dtype=torch.float64)
        self.labels = torch.arange(16).view(2, 8) % 5

    def train(self):
        return F.cross_entropy(self.mixed(self.logits.softmax(-1), self.images[0]), self.labels[0])

    def validation(self):
        return F.cross_entropy(self.mixed(self.logits.softmax(-1), self.images[1]), self.labels[1])

    def exact(self):
        """∇²_{π,v} L · vector by automatic differentiation, twice."""
        self.train()
        leaves = list(self.weights._leaves.values())
        gradients = torch.autograd.grad(self.train(), leaves, create_graph=True, allow_unused=True)
        pieces = [self.vector[leaf.storage_offset() :][: leaf.numel()].view_as(leaf) for leaf in leaves]
        along = sum((g * piece).sum() for g, piece in zip(gradients, pieces, strict=True) if g is not None)
        return torch.autograd.grad(along, self.logits)[0]


SMALLEST = [(Supernet, (2, 14, 8)), (BenchmarkSupernet, (1, 6, 5))]


@pytest.mark.parametrize(("kind", "shape"), SMALLEST)
def test_finite_difference_approaches_hessian_product(kind, shape):
    """With a step too short for the kinks of rectifiers; v is left as it was."""
    tiny = Smallest(kind, shape)
    before, exact = tiny.weights.flat.detach().clone(), tiny.exact()
    product = hessian_product(tiny.weights, tiny.logits, tiny.train, tiny.vector, reach=1e-6)
    torch.testing.assert_close(product, exact, rtol=0, atol=1e-5 * float(exact.abs().max()))
    assert torch.equal(tiny.weights.flat, before)
    assert not hessian_product(tiny.weights, tiny.logits, tiny.train, torch.zeros_like(tiny.vector)).any()


@pytest.mark.parametrize(("kind", "shape"), SMALLEST)
def test_second_order_gradient_is_exact_slope(kind, shape):
    """Against a difference quotient of the whole of equation 7 along one direction of π."""
    tiny, losses = Smallest(kind, shape), []
    given = (tiny.weights, tiny.logits, tiny.train, tiny.validation, 0.01, 3e-4, 0.1 * tiny.vector, 1e-6)
    direction = torch.randn(shape, generator=torch.Generator().manual_seed(2), dtype=torch.float64)
    gradient = unrolled_gradient(*given)[1]
    for step in (1e-6, -2e-6):
        tiny.logits.data.add_(step * direction)
        losses.append(float(unrolled_gradient(*given)[0]))
    slope = (losses[0] - losses[1]) / 2e-6
    assert float((gradient * direction).sum()) == pytest.approx(slope, rel=1e-4)
    direct = torch.autograd.grad(tiny.validation(), tiny.logits)[0]
    assert float((direct * direction).sum()) != pytest.approx(slope, rel=1e-2)


def test_second_order_looks_one_step_ahead(make_task, monkeypatch):
    """Momentum included, the weights of its validation loss are those that the v-step then reaches."""
    weights = SearchOptimizer(learning_rate=0.1, gradient_clip=1e6)
    task = make_task(method="darts_second_order", space="nasbench201", prior_rate=1e-6, weights=weights)
    trainer = DartsSecondOrder(task)
    trainer.advance()
    before, flat, original = [], trainer.supernet.weights.flat.detach(), trainer.loss
    monkeypatch.setattr(trainer, "loss", lambda *given: before.append(flat.clone()) or original(*given))
    trainer.advance()
    torch.testing.assert_close(before[1], flat, rtol=0, atol=1e-4)


def test_gdas_samples_one_operation_per_edge(make_task, monkeypatch):
    trainer = Gdas(make_task(method="gdas"))
    seen = spied(trainer, monkeypatch)
    trainer.advance()
    first, second = seen[-2:]
    for mixture in (first, second):
        assert torch.equal(mixture.sort(-1).values, torch.eye(8, dtype=torch.float64)[-1].expand(2, 14, 8))
    assert not torch.equal(first, second)


def test_gdas_survives_disconnected_samples(make_task, monkeypatch):
    """On NAS-Bench-201 that is one sample in 125 of the uniform prior; the loss then has no gradient for π."""
    trainer = Gdas(make_task(method="gdas", space="nasbench201", relaxation={"weight_decay": 0.0}))
    none = F.one_hot(torch.zeros(1, 6, dtype=torch.int64), 5).double()
    monkeypatch.setattr(trainer, "_sample", lambda _: none * trainer.by_cell(trainer.prior.log_probs().exp()))
    before = trainer.prior.logits.detach().clone()
    trainer.advance()
    assert torch.equal(trainer.prior.logits, before)


def test_gumbel_samples_follow_the_prior():
    log_p = torch.tensor([[0.5, 0.3, 0.2]], dtype=torch.float64).log()
    noise = gumbel(torch.Size((20_000, 3)), torch.Generator().manual_seed(0))
    shares = straight_through(concrete(log_p, noise, 1.0)).mean(0)
    # Four standard errors.
    torch.testing.assert_close(shares, log_p.exp()[0], rtol=0, atol=4 * (0.25 / 20_000) ** 0.5)


def test_straight_through_gradient():
    logits = torch.randn(3, 4, generator=torch.Generator().manual_seed(0), dtype=torch.float64).requires_grad_()
    factors = torch.arange(12.0, dtype=torch.float64).view(3, 4)
    soft = logits.softmax(-1)
    (expected,) = torch.autograd.grad((soft * factors).sum(), logits)
    hard = straight_through(logits.softmax(-1))
    assert torch.equal(hard.detach(), F.one_hot(logits.argmax(-1), 4).double())
    (gradient,) = torch.autograd.grad((hard * factors).sum(), logits)
    torch.testing.assert_close(gradient, expected)


def test_gdas_temperature_falls_linearly(make_task):
    trainer = Gdas(make_task(method="gdas", epochs=5))
    falls = [row["temperature"] for row in advance(trainer) if row["event"] == "step"]
    assert falls[::3] == falls[2::3] == pytest.approx([10.0, 7.525, 5.05, 2.575, 0.1])
    assert Relaxation().gdas_temperature == (10.0, 0.1)


def test_gdas_derives_pairs(make_task):
    """A node takes its two best pairs of input and operation, of one input if so it is; DARTS takes two inputs."""
    chosen = {}
    for name in ("gdas", "darts"):
        trainer = METHODS[name](make_task(method=name, relaxation={"initial_deviation": 0.0}))
        trainer.prior.logits.data[1, 1:3] = torch.tensor([1.0, 2.0])
        chosen[name] = trainer.genotype().normal[0]
    assert chosen["gdas"] == (("avg_pool_3x3", 1), ("max_pool_3x3", 1))
    assert chosen["darts"] == (("avg_pool_3x3", 1), ("max_pool_3x3", 0))


def test_gdas_argmax_on_nasbench201(make_task):
    trainer = Gdas(make_task(method="gdas", space="nasbench201"))
    trainer.prior.logits.data[:, OPERATIONS.index("none")] = 1.0
    assert set(trainer.genotype().operations) == {"none"}


def test_snas_learns_from_training_batch(make_task, monkeypatch):
    trainer = Snas(make_task(method="snas", space="nasbench201"))
    seen, weights = spied(trainer, monkeypatch), trainer.supernet.weights.flat.detach().clone()
    monkeypatch.setattr(trainer.batches, "validation", lambda _: pytest.fail("no validation batch is learnt from"))
    logits = trainer.prior.logits.detach().clone()
    trainer.advance()
    assert len(seen) == trainer.children == 1
    assert not torch.equal(trainer.prior.logits, logits)
    assert not torch.equal(trainer.supernet.weights.flat, weights)


def test_snas_samples_sharpen(make_task, monkeypatch):
    trainer = Snas(make_task(method="snas", space="nasbench201", epochs=3, prior_rate=1e-6))
    seen = spied(trainer, monkeypatch)
    falls = [row["temperature"] for row in advance(trainer) if row["event"] == "step"]
    assert falls[::3] == falls[2::3] == pytest.approx([1.0, 0.515, 0.03])
    largest = [float(mixture.amax(-1).mean()) for mixture in seen]
    assert max(largest[:3]) < 0.8 < min(largest[-3:])


def test_snas_constraint_counts_multiply_adds(make_task):
    """Its gradient favours cheap primitives; a certain architecture costs what its network's edges cost."""
    task = make_task(
        method="snas", space="nasbench201", relaxation={"resource": "aggressive", "initial_deviation": 0.0}
    )
    trainer = Snas(task)
    uniform = trainer.expected_share()
    assert float(uniform.detach()) == pytest.approx((1 + 9) / 9 / 5)
    (gradient,) = torch.autograd.grad(uniform, trainer.prior.logits)
    order = [OPERATIONS.index(name) for name in ("none", "nor_conv_1x1", "nor_conv_3x3")]
    assert bool((gradient[:, order].diff(dim=-1) > 0).all())
    trainer.prior.logits.data[:, OPERATIONS.index("nor_conv_3x3")] = 100.0
    assert float(trainer.expected_share().detach()) == pytest.approx(1.0)


def test_snas_constraint_prefers_cheap_operations(make_task):
    shares = []
    for resource in ("none", "aggressive"):
        trainer = Snas(make_task(method="snas", space="nasbench201", epochs=4, relaxation={"resource": resource}))
        advance(trainer)
        shares.append(float(trainer.expected_share().detach()))
    assert shares[1] < shares[0]


def saved_bytes(trainer, mixture):
    """Bytes that a pass keeps for its backward pass."""
    kept, batch = {}, trainer.batches.validation(0)

    def pack(tensor):
        kept[tensor.untyped_storage().data_ptr()] = tensor.untyped_storage().nbytes()
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        loss = trainer.loss(mixture, batch)
    assert loss.requires_grad
    return sum(kept.values())


def test_gdas_needs_less_memory(make_task):
    trainer = Gdas(make_task(method="gdas", batch_size=48))
    everything = saved_bytes(trainer, trainer.by_cell(trainer.prior.log_probs().exp()))
    paths = [saved_bytes(trainer, trainer._sample(1.0)) for _ in range(4)]
    assert max(paths) < everything / 3
