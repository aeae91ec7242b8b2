"""Errors in percent, every image counted once."""

import torch

from parsec.data.augment import Augment
from parsec.data.dataset import open_part, read_info
from parsec.data.loader import Images
from parsec.retrain.evaluate import evaluate
from parsec.settings.training import Augmentation


class Ranking(torch.nn.Module):
    """Answers the same ranking of classes for every image, 0 first."""

    def __init__(self, classes):
        super().__init__()
        self.classes = classes

    def forward(self, x):
        assert not self.training
        return -torch.arange(self.classes).float().expand(len(x), -1), None


def errors(digits, classes):
    part = open_part(digits, "test")
    augment = Augment(Augmentation(), read_info(digits), torch.contiguous_format)
    found = evaluate(Ranking(classes), Images(part, "cpu"), augment, 50, torch.device("cpu"), "float32")
    return found, torch.from_numpy(part.labels)


def test_errors_are_the_shares_of_images_that_are_missed(digits):
    found, labels = errors(digits, 10)
    assert found.images == len(labels)
    assert found.top1_error == 100 * int((labels != 0).sum()) / len(labels)
    assert found.top5_error == 100 * int((labels >= 5).sum()) / len(labels)


def test_top5_is_left_out_where_five_classes_are_all(digits):
    assert errors(digits, 5)[0].top5_error is None
