"""A block holds its images' pixels, evidence and seeds, whichever block they come in."""

from __future__ import annotations

import threading
from contextlib import closing
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
import pytest
import torch

from xaibench.config.sections import SegmentOptions
from xaibench.errors import UserError
from xaibench.explainers.base import Explainer
from xaibench.imaging.means import channel_mean
from xaibench.imaging.references import reference_images
from xaibench.runs.blocks import BlockMaker, made_ahead
from xaibench.segmentation.quickshift import Quickshift
from xaibench.segmentation.segmenter import Segmenter
from xaibench.store.predictions import prediction_table
from xaibench.types import Data, Split

ABOUT = {"run": "r", "dataset": "squares", "split": "test", "model": "m"}


class Squares(Split):
    """Noise with a square of evidence for class 1."""

    def __init__(self, count: int = 6, dtype: type = np.uint8, channels: int = 3) -> None:
        rng = np.random.default_rng(0)
        self._images = rng.integers(0, 256, (count, 24, 20, channels)).astype(np.uint8)
        if dtype is not np.uint8:
            self._images = (self._images / 255).astype(np.float32)
        self.ids = np.array([f"i{i}" for i in range(count)])
        self.groups = np.array([f"g{i // 2}" for i in range(count)])
        self.labels = np.arange(count) % 2

    def images(self, indices):
        return self._images[indices]

    def masks(self, indices, targets):
        mask = np.zeros((len(indices), 24, 20), bool)
        mask[targets == 1, 4:8, 4:8] = True
        return {"square": mask}


def data_of(split: Split) -> Data:
    return Data("squares", "binary", ("a", "b"), 3, (24, 20), {"test": split}, "sum")


def items_of(split: Split) -> pd.DataFrame:
    p = np.linspace(0.1, 0.9, len(split))
    table = prediction_table(data_of(split), "test", np.stack([1 - p, p], 1))
    return table.assign(target=table["predicted"], p_target=np.maximum(p, 1 - p))


def maker_of(split: Split, seed: int = 0, segmenter: Segmenter | None = None) -> BlockMaker:
    return BlockMaker(
        data_of(split),
        "test",
        about=ABOUT,
        dataset_mean=np.full(split.images(np.array([0])).shape[-1], 0.5, np.float32),
        references=reference_images(split, seed, at_most=2),
        segments=SegmentOptions(n_segments=6),
        shares=False,
        seed=seed,
        device=torch.device("cpu"),
        segmenter=segmenter or Segmenter(),
    )


def block_of(split: Split, rows: slice = slice(None), seed: int = 0):
    return maker_of(split, seed)(items_of(split).iloc[rows])


def test_the_batch_holds_what_the_split_gives():
    split = Squares()
    batch = block_of(split).batch
    assert batch.images.shape == (6, 3, 24, 20)
    assert batch.images.dtype == torch.float32
    assert torch.equal(
        batch.images.permute(0, 2, 3, 1) * 255, torch.from_numpy(split._images) + 0.0
    )
    assert batch.labels.tolist() == [0, 1, 0, 1, 0, 1]
    assert batch.targets.tolist() == [0, 0, 0, 1, 1, 1]
    assert batch.ids == tuple(split.ids)
    assert batch.groups == tuple(split.groups)
    assert batch.masks["square"].sum((1, 2)).tolist() == [0, 0, 0, 16, 16, 16]


def test_references_are_the_same_in_every_block():
    """Drawn by the run's seed, in the unit of the images, float or bytes alike."""
    split = Squares()
    whole, part = block_of(split).batch, block_of(split, slice(3, 5)).batch
    drawn = sorted(np.random.default_rng(0).permutation(6)[:2])
    assert torch.equal(whole.reference_images(), whole.images[drawn])
    assert torch.equal(part.reference_images(), whole.reference_images())
    assert torch.equal(part.take([1]).reference_images(), whole.reference_images())
    assert not torch.equal(block_of(split, seed=2).batch.reference_images(), whole.references)
    assert torch.allclose(block_of(Squares(dtype=np.float32)).batch.references, whole.references)


def test_at_most_so_many_references_as_there_are_images():
    assert len(reference_images(Squares(6), seed=0)) == 6
    assert len(reference_images(Squares(40), seed=0)) == 16


def test_a_batch_without_references_says_so():
    batch = replace(block_of(Squares()).batch, references=None)
    with pytest.raises(UserError, match=r"no reference images; .* \(count, 3, 24, 20\)"):
        batch.reference_images()
    other = replace(batch, references=torch.zeros(2, 3, 24, 24))
    with pytest.raises(UserError, match=r"references are \(3, 24, 24\).*images \(3, 24, 20\)"):
        other.reference_images()


def test_pixels_of_float_and_bytes_are_the_same():
    assert torch.allclose(
        block_of(Squares()).batch.images, block_of(Squares(dtype=np.float32)).batch.images
    )


@pytest.mark.parametrize("channels", [1, 3])
def test_superpixels_are_numbered_without_gaps(channels):
    segments = block_of(Squares(channels=channels)).batch.segments
    assert segments.shape == (6, 24, 20)
    for each in segments:
        assert each.unique().tolist() == list(range(int(each.max()) + 1))


def test_an_image_is_the_same_in_every_block():
    whole, part = block_of(Squares()).batch, block_of(Squares(), slice(3, 5)).batch
    assert part.ids == whole.ids[3:5]
    for name in ("images", "targets", "segments", "seeds", "labels"):
        assert torch.equal(getattr(part, name), getattr(whole, name)[3:5])
    assert torch.equal(part.masks["square"], whole.masks["square"][3:5])


def test_seeds_differ_by_image_and_run():
    first, other = block_of(Squares()).batch.seeds, block_of(Squares(), seed=1).batch.seeds
    assert len(set(first.tolist() + other.tolist())) == 12


def test_each_row_says_what_all_say_and_its_own():
    rows = block_of(Squares()).rows
    assert rows[3] == ABOUT | {
        "image": "i3", "group": "g1", "label": "b", "target": "b", "p_target": pytest.approx(0.58)
    }  # fmt: skip


def test_where_there_is_no_single_label_the_row_has_none():
    split = Squares()
    items = items_of(split).drop(columns="label")
    block = maker_of(split)(items)
    assert {row["label"] for row in block.rows} == {None}


def test_predictions_are_a_row_an_image():
    split = Squares()
    table = items_of(split)
    assert list(table) == [
        "image", "group", "label", "predicted", "p_a", "p_b", "target", "p_target"
    ]  # fmt: skip
    assert table["label"].tolist() == ["a", "b"] * 3
    assert table["predicted"].tolist() == ["a"] * 3 + ["b"] * 3


def test_predictions_of_several_labels_keep_each():
    split = Squares(3)
    split.labels = np.array([[1, 0], [0, np.nan], [1, 1]])
    table = prediction_table(data_of(split), "test", np.array([[0.2, 0.9], [0.5, 0.4], [0.1, 0.0]]))
    assert "label" not in table
    assert table["label_a"].tolist() == [1, 0, 1]
    assert np.isnan(table["label_b"][1])
    assert table["predicted"].tolist() == ["b", "a", "a"]


def test_the_mean_of_the_channels_is_that_of_the_images():
    for split in (Squares(), Squares(dtype=np.float32)):
        mean = channel_mean(split, seed=0)
        assert mean == pytest.approx(Squares()._images.mean((0, 1, 2)) / 255, abs=1e-6)
    assert np.array_equal(channel_mean(Squares(6), 3, at_most=2), channel_mean(Squares(6), 3, 2))


class Begun(Segmenter):
    """A segmenter that keeps a list of what it is asked."""

    def __init__(self) -> None:
        super().__init__()
        self.asked = []

    def begin(self, images, seeds, segmentation):
        self.asked.append(("begin", segmentation.id.partition("(")[0]))

    def labels(self, images, seeds, segmentation):
        self.asked.append(("labels", segmentation.id.partition("(")[0]))
        return super().labels(images, seeds, segmentation)


@dataclass(frozen=True)
class Dividing(Explainer):
    """Has segments of its own."""

    def own_segmentation(self):
        return Quickshift()

    def attribute(self, model, batch):
        return batch.images.mean(1)


@dataclass(frozen=True)
class Plain(Explainer):
    """Has none."""

    def attribute(self, model, batch):
        return batch.images.mean(1)


def test_explainers_segments_are_begun_before_the_superpixels_are_waited_for():
    split, segmenter = Squares(), Begun()
    block = maker_of(split, segmenter=segmenter)(items_of(split), [Plain(), Dividing()])
    assert segmenter.asked == [("begin", "slic"), ("begin", "quickshift"), ("labels", "slic")]
    assert block.batch.segmenter is segmenter
    assert block.batch.take([2]).segmenter is segmenter
    assert torch.equal(block.batch.segments, block_of(split).batch.segments)


class Makers:
    """Makers of blocks 0, 1, ..., and where and when each was called."""

    def __init__(self, count: int) -> None:
        self.count = count
        self.made = []
        self.threads = set()
        self.called = threading.Semaphore(0)

    def __iter__(self):
        block = block_of(Squares(2))
        for number in range(self.count):
            yield lambda number=number: self.make(block, number)

    def make(self, block, number):
        self.made.append(number)
        self.threads.add(threading.current_thread())
        self.called.release()
        return type(block)(block.batch, ({"number": number},))


def test_on_a_cpu_a_block_is_made_when_it_is_asked_for():
    makers = Makers(3)
    for number, block in enumerate(made_ahead(makers, torch.device("cpu"))):
        assert block.rows[0]["number"] == number
        assert makers.made == list(range(number + 1))
    assert makers.threads == {threading.current_thread()}


def test_beside_a_gpu_the_next_block_is_made_and_no_more():
    makers = Makers(4)
    for number, block in enumerate(made_ahead(makers, torch.device("cuda"))):
        assert block.rows[0]["number"] == number
        for _ in range(2 if number == 0 else number < 3):
            assert makers.called.acquire(timeout=20)
        assert makers.made == list(range(min(number + 2, 4)))
    assert len(makers.threads) == 1
    assert threading.current_thread() not in makers.threads


@pytest.mark.parametrize("device", ["cpu", "cuda"])
def test_a_block_that_cannot_be_made_stops_the_run_where_it_is_due(device):
    def fails():
        raise ValueError("no such image")

    blocks = made_ahead([*Makers(2), fails], torch.device(device))
    assert [next(blocks).rows[0]["number"] for _ in range(2)] == [0, 1]
    with pytest.raises(ValueError, match="no such image"):
        next(blocks)


def test_leaving_early_ends_the_thread():
    makers = Makers(9)
    with closing(made_ahead(makers, torch.device("cuda"))) as blocks:
        next(blocks)
    assert makers.made in ([0], [0, 1])
    assert not any(thread.is_alive() for thread in makers.threads)
