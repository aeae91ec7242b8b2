"""The relaxed network computes what DARTS' published network computes, in values and gradients."""

import torch
import torch.nn.functional as F

from parsec.network.mixed import MixedSupernet
from parsec.space.darts import CELLS


def test_mixed_supernet_matches_plain_darts(relaxed_pair):
    supernet, plain = relaxed_pair
    draws = torch.Generator().manual_seed(1)
    images = torch.randn(4, 3, 8, 8, generator=draws, dtype=torch.float64)
    labels = torch.randint(5, (4,), generator=draws)
    for alpha in plain.alphas.values():
        alpha.data = torch.randn(alpha.shape, generator=draws, dtype=torch.float64)
    alphas = torch.stack([plain.alphas[cell].detach() for cell in CELLS]).requires_grad_()
    logits, expected = MixedSupernet(supernet)(alphas.softmax(-1), images), plain(images)
    torch.testing.assert_close(logits, expected, rtol=0, atol=1e-10)
    for each in (logits, expected):
        F.cross_entropy(each, labels).backward()
    gradients = torch.stack([plain.alphas[cell].grad for cell in CELLS])
    torch.testing.assert_close(alphas.grad, gradients, rtol=0, atol=1e-9 * float(gradients.abs().max()))
    assert float(gradients.abs().max()) > 1e-4
