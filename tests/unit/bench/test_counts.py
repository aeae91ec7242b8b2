"""Bytes and operations of small layers, against counts made by hand (float32, 4 bytes)."""

import torch
import torch.nn.functional as F

from parsec.bench.harness import Counts, count

X = 2 * 4 * 6 * 6
"""Numbers of an input [2, 4, 6, 6]."""
Y = 2 * 4 * 3 * 3
"""Numbers of what a stride of 2 leaves."""


def test_a_depthwise_convolution_forward():
    x, weight = torch.randn(2, 4, 6, 6), torch.randn(4, 1, 5, 5)
    counted = count(lambda: F.conv2d(x, weight, stride=2, padding=2, groups=4))
    assert counted == Counts(bytes=4 * (X + 4 * 25 + Y), operations=2 * Y * 25)


def test_a_grouped_convolution_backward():
    x, weight = torch.randn(2, 4, 6, 6, requires_grad=True), torch.randn(4, 2, 3, 3, requires_grad=True)
    y = F.conv2d(x, weight, stride=2, padding=1, groups=2)
    gradient = torch.randn_like(y)
    counted = count(lambda: torch.autograd.grad(y, (x, weight), gradient, retain_graph=True))
    assert counted == Counts(bytes=4 * (Y + X + 4 * 18 + X + 4 * 18), operations=2 * 2 * Y * 18)
    alone = count(lambda: torch.autograd.grad(y, weight, gradient))
    assert alone == Counts(bytes=4 * (Y + X + 4 * 18 + 4 * 18), operations=2 * Y * 18)


def test_matrix_products():
    left, right, bias = torch.randn(3, 5), torch.randn(5, 7), torch.randn(7)
    assert count(lambda: left @ right) == Counts(4 * (15 + 35 + 21), 2 * 3 * 5 * 7)
    assert count(lambda: torch.addmm(bias, left, right)) == Counts(4 * (7 + 15 + 35 + 21), 2 * 3 * 5 * 7)
    many = torch.randn(2, 3, 5), torch.randn(2, 5, 7)
    assert count(lambda: torch.bmm(*many)) == Counts(4 * 2 * (15 + 35 + 21), 2 * 2 * 3 * 5 * 7)


def test_other_operations_move_bytes_only():
    x = torch.randn(10)
    assert count(lambda: F.relu(x)) == Counts(4 * 20, 0)
    assert count(lambda: x.add_(x)) == Counts(4 * 30, 0)


def test_what_is_overwritten_is_not_read():
    x, y = torch.randn(10), torch.randn(10)
    assert count(lambda: x.zero_()) == Counts(4 * 10, 0)
    assert count(lambda: x.copy_(y)) == Counts(4 * 20, 0)
    assert count(lambda: torch.zeros_like(x)) == Counts(4 * 10, 0)


def test_views_are_free_broadcasts_read_once():
    x = torch.randn(4, 6)
    assert count(lambda: (x.view(24), x.t(), x[1:], torch.empty(100))) == Counts(0, 0)
    row = torch.randn(1, 6)
    assert count(lambda: torch.mul(x, row.expand(4, 6))) == Counts(4 * (24 + 6 + 24), 0)
