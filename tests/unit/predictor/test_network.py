"""The predictor: what it must not depend on, and that it learns."""

import numpy as np
import torch
from scipy.stats import spearmanr

from parsec.config.tabular import Predictor
from parsec.predictor.gcn import Encoded, Encoder, Layer, Networks, encoded, fit, initial
from parsec.runtime.rng import generator
from parsec.tabular.problem import Graphs


def random_graphs(count, vertices=6, features=4, seed=0):
    rng = np.random.default_rng(seed)
    adjacency = np.triu(rng.random((count, vertices, vertices)) < 0.5, 1).astype(np.float32)
    one_hot = np.eye(features, dtype=np.float32)[rng.integers(features, size=(count, vertices))]
    one_hot[0, -1] = adjacency[0, :, -1] = 0
    return Graphs(adjacency, one_hot)


def member(networks, repeat, place):
    cut = (slice(repeat, repeat + 1), slice(place, place + 1))
    return Networks(tuple(Layer(*(part[cut] for part in layer)) for layer in networks.layers))


def test_prediction_is_invariant_to_vertex_order():
    graphs, order = random_graphs(5), np.random.default_rng(1).permutation(6)
    networks = initial(4, 8, 3, 2, [generator(0)])
    moved = Graphs(graphs.adjacency[:, order][:, :, order], graphs.features[:, order])
    torch.testing.assert_close(networks.predict(encoded(moved)), networks.predict(encoded(graphs)))


def test_empty_vertices_do_not_matter():
    graphs = random_graphs(5)
    padded = Graphs(
        np.pad(graphs.adjacency, ((0, 0), (0, 2), (0, 2))), np.pad(graphs.features, ((0, 0), (0, 2), (0, 0)))
    )
    networks = initial(4, 8, 3, 2, [generator(0)])
    torch.testing.assert_close(networks.predict(encoded(padded)), networks.predict(encoded(graphs)))


def test_edges_and_their_direction_matter():
    graphs = random_graphs(5)
    networks = initial(4, 8, 2, 1, [generator(0)])
    turned = networks.predict(encoded(Graphs(graphs.adjacency.swapaxes(1, 2).copy(), graphs.features)))
    assert not torch.allclose(turned, networks.predict(encoded(graphs)))


def test_batched_ensembles_match_single_networks():
    both = Encoded(
        *(torch.stack(parts) for parts in zip(*(encoded(random_graphs(5, seed=s)) for s in (0, 1)), strict=True))
    )
    networks = initial(4, 8, 3, 3, [generator(0), generator(1)])
    together = networks(both)
    assert together.shape == (2, 3, 5)
    for repeat in (0, 1):
        alone = Encoded(*(part[repeat] for part in both))
        torch.testing.assert_close(networks.of(repeat).predict(alone), together[repeat])
        for place in range(3):
            torch.testing.assert_close(member(networks, repeat, place).predict(alone)[0], together[repeat, place])


def test_training_together_is_training_apart():
    graphs = [encoded(random_graphs(12, seed=seed)) for seed in (0, 1)]
    reached, settings = 90 + torch.randn(2, 12, generator=generator(3)), Predictor(steps=10, members=2)
    both = Encoded(*(torch.stack(parts) for parts in zip(*graphs, strict=True)))
    together = fit(both, reached, settings, [generator(0), generator(1)])
    for place, alone in enumerate(graphs):
        single = fit(Encoded(*(part[None] for part in alone)), reached[place][None], settings, [generator(place)])
        torch.testing.assert_close(single.predict(0, alone), together.predict(place, alone), rtol=1e-4, atol=1e-4)


def test_a_planted_accuracy_is_learnt(problem):
    encoder, rng = Encoder(problem), np.random.default_rng(0)
    known, other = [[int(i) for i in part] for part in np.split(rng.permutation(15_625)[:600], [100])]
    reached = torch.tensor([[problem.accuracy(arch) for arch in known]])
    fitted = fit(encoder.together([known]), reached, Predictor(), [generator(0)])
    predicted = fitted.predict(0, encoder(other)).mean(0)
    true = np.array([problem.accuracy(arch) for arch in other])
    assert spearmanr(predicted, true).statistic > 0.85
    assert abs(float(predicted.mean()) - true.mean()) < 1.0
