"""The moving average of weights, and the width that a budget allows."""

import copy

import pytest
import torch

from parsec.config.training import Network
from parsec.errors import SettingsError
from parsec.network.complexity import network_cost
from parsec.retrain.run import fitted
from parsec.retrain.trainer import Retrainer
from parsec.space.published import DARTS_V2


def weights(network):
    return torch.cat([value.flatten().double() for value in network.state_dict().values() if value.is_floating_point()])


def test_average_follows_its_recursion(make_task) -> None:
    trainer = Retrainer(make_task(average=0.75))
    expected = None
    for _ in range(5):
        trainer.advance()
        now = weights(trainer.network)
        expected = now if expected is None else 0.75 * expected + 0.25 * now
    assert torch.allclose(weights(trainer.tested), expected, atol=1e-6)
    assert not torch.allclose(weights(trainer.tested), weights(trainer.network), atol=1e-4)


def test_average_changes_no_training_step_and_is_resumed(make_task) -> None:
    plain, averaged = Retrainer(make_task()), Retrainer(make_task(average=0.9))
    for _ in range(3):
        plain.advance()
        averaged.advance()
    assert torch.equal(weights(plain.network), weights(averaged.network))
    resumed = Retrainer(make_task(average=0.9))
    resumed.load_state_dict(copy.deepcopy(averaged.state_dict()))
    for trainer in (averaged, resumed):
        trainer.advance()
    assert torch.equal(weights(resumed.tested), weights(averaged.tested))


def test_without_a_decay_the_network_itself_is_tested(make_task) -> None:
    trainer = Retrainer(make_task())
    assert trainer.tested is trainer.network


def test_width_is_the_largest_within_the_budget() -> None:
    network = Network(stem="imagenet", cells=14, channels=48)
    found = fitted(DARTS_V2, network, 600e6, 1000, 224)
    wider = found.model_copy(update={"channels": found.channels + 2})
    assert network_cost(DARTS_V2, found, 1000, 224).multiply_adds < 600e6
    assert network_cost(DARTS_V2, wider, 1000, 224).multiply_adds >= 600e6
    assert found.channels == 50
    assert fitted(DARTS_V2, network, None, 1000, 224) == network


def test_a_budget_below_every_network_is_refused() -> None:
    with pytest.raises(SettingsError, match="raise it or lower cells"):
        fitted(DARTS_V2, Network(stem="imagenet", cells=14, channels=48), 1e3, 1000, 224)
