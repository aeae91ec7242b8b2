"""Errors in percent, every image counted once."""

import torch

from parsec.config.training import Augmentation
from parsec.data.augment import Augment
from parsec.data.dataset import open_split, read_info
from parsec.data.loader import Images
from parsec.retrain.run import evaluate


class Ranking(torch.nn.Module):
    """Answers the same ranking of classes for every image, 0 first."""

    def __init__(self, classes):
        super().__init__()
        self.classes = classes

    def forward(self, x):
        assert not self.training
        return -torch.arange(self.classes).float().expand(len(x), -1), None


class Remembering(torch.nn.Module):
    """Answers what it is told, image by image."""

    def __init__(self, answers, classes):
        super().__init__()
        self.answers, self.classes, self.next = torch.tensor(answers), classes, 0

    def forward(self, x):
        answers = self.answers[self.next : self.next + len(x)]
        self.next += len(x)
        return torch.nn.functional.one_hot(answers, self.classes).float(), None


class Labelled:
    """Images without pixels."""

    def __init__(self, labels):
        self.labels = torch.tensor(labels)

    def __len__(self):
        return len(self.labels)

    def evaluate(self, indices, augment):
        return torch.zeros(len(indices), 3, 1, 1), self.labels[indices]


def errors(digits, classes):
    part = open_split(digits, "test")
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


def test_classes_count_alike_in_the_balanced_error():
    labels, answers = [0] * 8 + [1] * 2, [0] * 8 + [1, 0]
    network, images = Remembering(answers, 3), Labelled(labels)
    found = evaluate(network, images, None, 4, torch.device("cpu"), "float32")
    assert (found.class_images, found.class_errors) == ([8, 2, 0], [0.0, 50.0, None])
    assert (found.top1_error, found.balanced_error) == (10.0, 25.0)


def test_errors_per_class_add_up_to_the_whole(digits):
    found, labels = errors(digits, 10)
    assert found.class_images == torch.bincount(labels).tolist()
    assert found.class_errors == [0.0] + [100.0] * 9
    assert found.balanced_error == 90.0
