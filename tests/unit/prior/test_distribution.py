"""p(α|π): probabilities, entropy, mode and samples against exhaustive enumeration of a node."""

import math

import pytest
import torch
from scipy import stats

from parsec.prior.distribution import Prior
from parsec.space.factors import WEIGHTLESS, uniform_entropy
from parsec.space.spaces import DARTS, NASBENCH201

NODES = [("normal", 0), ("normal", 3), ("reduce", 1)]
UNIFORM_ENTROPY = 50.285


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def repeats_an_input(genotype):
    return any(first.input == second.input for cell in genotype for first, second in cell)


def test_size_of_the_darts_space():
    prior = Prior()
    assert int(prior.mask.sum()) == 168
    assert prior.entropy() == pytest.approx(UNIFORM_ENTROPY, abs=5e-4)
    assert uniform_entropy("separate") == pytest.approx(prior.entropy(), abs=1e-12)


@pytest.mark.parametrize(("cell", "node"), NODES)
def test_node_probabilities_sum_to_one(one_node, cell, node):
    prior, _, chosen = one_node(cell, node)
    log_p = prior.log_prob(chosen).detach()
    assert float(log_p.exp().sum()) == pytest.approx(1.0, abs=1e-12)


@pytest.mark.parametrize(("cell", "node"), NODES)
def test_entropy_is_that_of_the_enumeration(one_node, cell, node):
    prior, _, chosen = one_node(cell, node)
    log_p = prior.log_prob(chosen).detach()
    assert prior.entropy() == pytest.approx(-float((log_p.exp() * log_p).sum()), abs=1e-11)


@pytest.mark.parametrize(("cell", "node"), NODES)
def test_mode_maximises_enumerated_probability(one_node, cell, node):
    for seed in range(5):
        prior, _, chosen = one_node(cell, node, seed)
        best = chosen[prior.log_prob(chosen).argmax()]
        assert prior.mode() == prior.children(best[None]).genotypes[0]


@pytest.mark.parametrize(("cell", "node"), NODES)
def test_marginals_are_sums_over_the_enumeration(one_node, cell, node):
    prior, free, chosen = one_node(cell, node)
    p, marginals = prior.log_prob(chosen).detach().exp(), prior.marginals().detach()
    for factor in free:
        expected = torch.zeros(prior.mask.shape[1], dtype=torch.float64).index_add(0, chosen[:, factor], p)
        torch.testing.assert_close(marginals[factor], expected, rtol=0, atol=1e-12)


@pytest.mark.parametrize(("cell", "node"), NODES)
def test_score_has_zero_mean(one_node, cell, node):
    prior, _, chosen = one_node(cell, node)
    log_p = prior.log_prob(chosen)
    (log_p.detach().exp() * log_p).sum().backward()
    assert float(prior.logits.grad.abs().max()) < 1e-12


@pytest.mark.parametrize(("cell", "node"), [("normal", 1), ("reduce", 0)])
def test_sample_frequencies_match_enumeration(one_node, cell, node):
    prior, _, chosen = one_node(cell, node)
    p = prior.log_prob(chosen).detach().exp()
    drawn = prior.sample(10_000, generator())
    position = {tuple(row): i for i, row in enumerate(chosen.tolist())}
    counts = torch.bincount(torch.tensor([position[tuple(row)] for row in drawn.tolist()]), minlength=len(chosen))
    common = p * len(drawn) >= 5
    seen = torch.cat([counts[common], counts[~common].sum()[None]]).double()
    expected = torch.cat([p[common], p[~common].sum()[None]]) * len(drawn)
    keep = expected > 0
    assert stats.chisquare(seen[keep].numpy(), expected[keep].numpy(), sum_check=False).pvalue > 1e-4


def test_entropy_and_marginals_match_samples(random_prior):
    prior = random_prior(seed=3)
    drawn = prior.sample(10_000, generator(1))
    surprise = -prior.log_prob(drawn).detach()
    error = float(surprise.std()) / math.sqrt(len(drawn))
    assert abs(float(surprise.mean()) - prior.entropy()) < 4.5 * error
    frequencies = torch.stack([(drawn == choice).double().mean(0) for choice in range(prior.mask.shape[1])], 1)
    # 4.5 standard errors of a frequency of one half, the widest there is.
    torch.testing.assert_close(frequencies, prior.marginals().detach(), rtol=0, atol=4.5 * 0.5 / math.sqrt(10_000))


def test_independent_inputs_repeat():
    prior = Prior()
    assert any(map(repeats_an_input, prior.children(prior.sample(50, generator())).genotypes))


def test_samples_come_from_the_generator_alone(random_prior):
    prior = random_prior()
    torch.manual_seed(0)
    first = prior.sample(4, generator(5))
    torch.manual_seed(1)
    assert torch.equal(first, prior.sample(4, generator(5)))
    assert not torch.equal(first, prior.sample(4, generator(6)))
    assert first.dtype == torch.int64
    assert not first.requires_grad


def test_sampling_consumes_fixed_randomness(random_prior):
    """So that they can be drawn before π is known, and the streams of runs with other settings stay comparable."""
    states = []
    for seed in range(3):
        numbers = generator()
        random_prior(seed, scale=10.0).sample(5, numbers)
        states.append(numbers.get_state())
    assert torch.equal(states[0], states[1])
    assert torch.equal(states[0], states[2])


def test_padding_has_no_probability_or_gradient(random_prior):
    prior = random_prior()
    prior.log_prob(prior.sample(8, generator())).sum().backward()
    assert not prior.logits.grad[~prior.mask].any()
    assert prior.logits.grad[prior.mask].isfinite().all()
    assert not prior.marginals()[~prior.mask].any()


def test_a_prior_owns_its_logits():
    given = torch.zeros_like(Prior().logits)
    prior = Prior("separate", given)
    with torch.no_grad():
        prior.logits.add_(1.0)
    assert not given.any()


def test_extreme_logits_give_finite_numbers(random_prior):
    prior = random_prior(scale=1e5)
    drawn = prior.sample(16, generator())
    log_p = prior.log_prob(drawn)
    log_p.sum().backward()
    assert log_p.isfinite().all()
    assert prior.logits.grad.isfinite().all()
    assert prior.entropy() == pytest.approx(0.0, abs=1e-3)
    assert prior.mode() == prior.children(drawn).genotypes[0]


def test_stratified_samples_cover_every_share():
    """With shares that are multiples of 1/K, K stratified samples take every choice exactly K times its share."""
    prior = Prior(space=NASBENCH201)
    shares = torch.tensor([0.4, 0.3, 0.2, 0.1, 0.0], dtype=torch.float64)
    with torch.no_grad():
        prior.logits.copy_(shares.clamp(min=1e-300).log())
    for seed in range(20):
        drawn = prior.sample(10, generator(seed), stratified=True)
        for factor in range(len(prior.factors)):
            assert torch.bincount(drawn[:, factor], minlength=5).tolist() == [4, 3, 2, 1, 0]


def test_each_stratified_sample_is_exact():
    """Of all K samples the first one, over many draws, has the joint distribution of two independent factors."""
    prior = Prior(space=NASBENCH201)
    shares = torch.tensor([0.5, 0.3, 0.2, 0.0, 0.0], dtype=torch.float64)
    with torch.no_grad():
        prior.logits.copy_(shares.clamp(min=1e-300).log())
    rng, draws = generator(1), 6000
    firsts = torch.stack([prior.sample(3, rng, stratified=True)[0, :2] for _ in range(draws)])
    counts = torch.bincount(5 * firsts[:, 0] + firsts[:, 1], minlength=25).view(5, 5)[:3, :3]
    expected = draws * torch.outer(shares, shares)[:3, :3]
    assert stats.chisquare(counts.flatten().numpy(), expected.flatten().numpy()).pvalue > 1e-3


@pytest.mark.parametrize("space", [DARTS, NASBENCH201], ids=lambda space: space.name)
def test_weightless_operations_share_their_part(space):
    prior = Prior(space=space)
    skewed = prior.with_weightless_share(0.2)
    for factor, row in zip(skewed.factors, skewed.marginals().detach(), strict=True):
        if factor.kind == "input":
            continue
        free = [i for i, choice in enumerate(factor.choices) if choice in WEIGHTLESS]
        others = [i for i in range(len(factor.choices)) if i not in free]
        assert row[free].sum() == pytest.approx(0.2)
        assert row[free].unique().numel() == row[others].unique().numel() == 1
    assert not prior.logits.any(), "a distribution of its own"
