"""Reading ahead, predicted logits, and the figures that they are worth."""

from __future__ import annotations

import math
import threading

import numpy as np
import pytest
import torch
from torch import nn

from xaibench.errors import UserError
from xaibench.models.base import Classifier
from xaibench.progress import SilentProgress
from xaibench.training.evaluate import (
    InMemory,
    as_images,
    as_labels,
    better,
    check_monitor,
    figures,
    in_memory,
    predict_logits,
    read_ahead,
)
from xaibench.types import Split

NAN = float("nan")
CPU = torch.device("cpu")


class ArraySplit(Split):
    def __init__(self, images: np.ndarray) -> None:
        self._images = images
        self.ids = self.groups = np.array([f"i{i}" for i in range(len(images))])
        self.labels = np.zeros(len(images), dtype=int)

    def images(self, indices: np.ndarray) -> np.ndarray:
        images = self._images[indices]
        images.flags.writeable = False  # as a memory map would give it
        return images


@pytest.fixture
def split() -> ArraySplit:
    rng = np.random.default_rng(0)
    return ArraySplit(rng.integers(0, 256, (10, 16, 16, 3), dtype=np.uint8))


def _model(head: str = "softmax", classes: tuple[str, ...] = ("no", "yes")) -> Classifier:
    torch.manual_seed(0)
    outputs = 1 if head == "single_logit" else len(classes)
    net = nn.Sequential(
        nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.AdaptiveAvgPool2d(1), nn.Flatten(),
        nn.Dropout(0.5), nn.Linear(4, outputs),
    )  # fmt: skip
    return Classifier(
        net, head=head, classes=classes, mean=(0.5,) * 3, std=(0.5,) * 3, cam_layer=None,
        linear_head="5", pool=None, input_shape=(3, 16, 16), batch_size=4,
    )  # fmt: skip


def test_logits_are_those_of_each_image_alone_and_the_model_is_left_as_found(split) -> None:
    model = _model().train()
    before = {k: v.clone() for k, v in model.net.state_dict().items()}
    at = np.array([7, 0, 3, 9, 2, 1])
    logits = predict_logits(model, split, at)
    assert model.training
    assert logits.dtype == torch.float32
    assert not logits.is_inference()
    for name, value in model.net.state_dict().items():
        assert torch.equal(value, before[name])
    model.eval()
    for row, index in zip(logits, at, strict=True):
        image = torch.tensor(split.images(np.array([index]))).permute(0, 3, 1, 2) / 255
        torch.testing.assert_close(row, model(image).detach()[0], atol=1e-5, rtol=1e-5)


def test_all_images_by_default_in_any_batch_size(split) -> None:
    model = _model()
    torch.testing.assert_close(
        predict_logits(model, split), predict_logits(model, split, batch_size=1)
    )


def test_images_come_in_order_and_a_failing_read_is_raised(split) -> None:
    batches = [np.array([3]), np.array([1, 2]), np.array([0]), np.array([9])]
    for block, indices in zip(read_ahead(split, batches), batches, strict=True):
        assert np.array_equal(block.numpy(), split.images(indices))
    with pytest.raises(IndexError):
        list(read_ahead(split, [np.array([0]), np.array([99])]))


def test_a_reader_that_is_closed_early_leaves_no_thread(split) -> None:
    threads = threading.active_count()
    blocks = read_ahead(split, [np.array([i]) for i in range(10)])
    next(blocks)
    blocks.close()
    assert threading.active_count() == threads


def test_uint8_and_float_images_are_the_same(split) -> None:
    block = torch.tensor(split.images(np.arange(3)))
    images = as_images(block, CPU)
    assert images.shape == (3, 3, 16, 16)
    assert images.is_contiguous(memory_format=torch.channels_last)
    assert 0 <= images.min() < images.max() <= 1
    assert torch.equal(images, as_images(block.float() / 255, CPU))


def test_a_split_is_kept_in_memory_only_if_it_fits(split) -> None:
    size = 10 * 16 * 16 * 3
    assert in_memory(split, size - 1, SilentProgress(), "") is split
    kept = in_memory(split, size, SilentProgress(), "")
    assert isinstance(kept, InMemory)
    at = np.array([4, 0, 8])
    assert np.array_equal(kept.images(at), split.images(at))


def test_binary_figures_by_hand() -> None:
    # Positives 0.9 and 0.2, negatives 0.1 and 0.4: three of four pairs are ranked rightly.
    p = torch.tensor([0.9, 0.2, 0.1, 0.4])
    labels = torch.tensor([1, 1, 0, 0])
    single = figures(_model("single_logit"), torch.logit(p)[:, None], labels)
    double = figures(_model(), torch.stack([1 - p, p], 1).log(), labels)
    for found in (single, double):
        assert found["auroc"] == 0.75
        assert found["accuracy"] == 0.75
        assert found["loss"] == pytest.approx(-math.log(0.9 * 0.2 * 0.9 * 0.6) / 4)
        assert found["skipped"] == ()


def test_saturated_logits_still_rank() -> None:
    logits = torch.tensor([[0.0, 200.0], [0.0, 300.0]])
    assert figures(_model(), logits, torch.tensor([0, 1]))["auroc"] == 1


def test_multiclass_auroc_is_the_mean_over_classes_of_pairs_ranked_rightly() -> None:
    model = _model(classes=("a", "b", "c", "d"))
    logits = torch.randn(20, 4, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    labels = torch.arange(20) % 3  # none of d
    found = figures(model, logits, labels)
    p = logits.softmax(1)
    areas = [
        np.mean([float(x > y) for x in p[labels == c, c] for y in p[labels != c, c]])
        for c in range(3)
    ]
    assert found["skipped"] == ("d",)
    assert found["auroc"] == pytest.approx(np.mean(areas))
    assert found["accuracy"] == pytest.approx(np.mean(logits.argmax(1).numpy() == labels.numpy()))


def test_labels_of_one_kind_are_skipped_and_missing_ones_left_out() -> None:
    model = _model("multilabel", ("a", "b", "c"))
    labels = torch.tensor([[1.0, 1, NAN], [0, 1, 0], [NAN, 1, 1]])
    logits = torch.tensor([[1.0, 1, -9], [-1, 1, 2], [9, 1, 1]])
    found = figures(model, logits, labels)
    assert found["skipped"] == ("b",)
    assert found["auroc"] == 0.5  # 1 of a, 0 of c
    assert found["accuracy"] == pytest.approx(6 / 7)
    assert math.isfinite(found["loss"])


def test_no_figure_is_invented() -> None:
    model = _model()
    one_class = figures(model, torch.zeros(3, 2), torch.ones(3, dtype=torch.int64))
    assert math.isnan(one_class["auroc"])
    assert one_class["skipped"] == ("yes",)
    broken = figures(model, torch.tensor([[NAN, 0.0], [0.0, 1.0]]), torch.tensor([0, 1]))
    assert all(math.isnan(broken[k]) for k in ("loss", "accuracy", "auroc"))
    unknown = figures(_model("multilabel"), torch.zeros(2, 2), torch.full((2, 2), NAN))
    assert all(math.isnan(unknown[k]) for k in ("loss", "accuracy", "auroc"))


def test_regression_has_a_loss_only() -> None:
    found = figures(_model("regression", ("age",)), torch.zeros(2, 1), torch.tensor([[1.0], [3.0]]))
    assert found["loss"] == 5
    assert math.isnan(found["accuracy"])
    assert math.isnan(found["auroc"])


def test_labels_keep_their_kind() -> None:
    assert as_labels(np.array([0, 1], dtype=np.uint8)).dtype == torch.int64
    assert as_labels(np.array([[0.0, NAN]])).dtype == torch.float32


def test_a_monitor_that_labels_cannot_give_says_why() -> None:
    ones = torch.ones(3, dtype=torch.int64)
    with pytest.raises(UserError, match=r"3 validation images give no auroc.*negatives of yes"):
        check_monitor(_model(), ones, "auroc")
    with pytest.raises(UserError, match=r"regression has no accuracy; use monitor: loss"):
        check_monitor(_model("regression", ("age",)), torch.ones(3, 1), "accuracy")
    with pytest.raises(UserError, match=r"give no loss, since no label is known"):
        check_monitor(_model("regression", ("age",)), torch.full((3, 1), NAN), "loss")
    check_monitor(_model(), ones, "accuracy")


def test_a_tie_is_not_better() -> None:
    assert better("auroc", 0.1, NAN)
    assert better("auroc", 0.8, 0.7)
    assert not better("auroc", 0.7, 0.7)
    assert better("loss", 0.6, 0.7)
    assert not better("loss", 0.7, 0.7)
