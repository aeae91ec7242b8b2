"""A search runs with every executor, and with the same numbers to rounding."""

import pytest
import torch

from parsec.config.base import Compute
from parsec.search.parsec import Parsec


def after(make_task, executor, steps=2):
    """π's logits and the shared weights after some steps."""
    compute = Compute(device="cpu", precision="float32", executor=executor, samples_in_flight=2)
    trainer = Parsec(make_task(compute=compute))
    for _ in range(steps):
        trainer.advance()
    trainer.flush()
    return trainer.prior.logits.detach(), trainer.supernet.bank.flat.detach()


@pytest.mark.parametrize("executor", ["stacked", "table"])
def test_a_search_is_that_of_one_child_after_another(make_task, executor):
    for found, expected in zip(after(make_task, executor), after(make_task, "one"), strict=True):
        torch.testing.assert_close(found, expected, rtol=0, atol=1e-3)
