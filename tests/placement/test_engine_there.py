"""The engine's own paths on the pretended GPU: windows, half precision, memory that runs out."""

from __future__ import annotations

import torch
from pretended import GPU, Pretended, pretended_gpu
from torch import nn
from toy_windows import mixed, patches_of, question, recompute_everything
from trials import alike, moved

from xaibench.checks.stage import toy_batch, toy_model
from xaibench.engine import Batch, BoxMasks, Fill, fill_images, masked_scores, window_scores


def there(images, fills, targets, masks: BoxMasks) -> tuple:
    boxes = BoxMasks(masks.boxes.to(GPU), masks.size, masks.counts.to(GPU))
    return images.to(GPU), fills.to(GPU), targets.to(GPU), boxes


def test_windows_are_recomputed_there(monkeypatch):
    recompute_everything(monkeypatch)
    wanted = window_scores(mixed(), *question())
    with pretended_gpu():
        model = mixed().to(GPU)
        found = window_scores(model, *there(*question()))
        assert patches_of(model)
    assert isinstance(found, Pretended)
    assert alike(found.held, wanted)


def test_windows_wait_as_often_however_many_there_are(monkeypatch):
    recompute_everything(monkeypatch)
    counts = []
    for images in (1, 2):
        with pretended_gpu() as seen:
            model, asked = mixed(batch_size=3).to(GPU), there(*question(images=images))
            window_scores(model, *asked)  # the plan is made once a network
            seen.waits.clear()
            window_scores(model, *asked)
        counts.append([str(wait) for wait in seen.waits])
    assert len(counts[0]) == len(counts[1])


def asked_of(batch: Batch, fill: Fill) -> tuple:
    boxes = torch.tensor([[0, 8, 0, 8], [8, 24, 8, 24], [3, 31, 0, 32]], device=batch.images.device)
    masks = BoxMasks(boxes, (32, 32), torch.full_like(batch.targets, len(boxes)))
    return batch.images, fill_images(batch, fill), batch.targets, masks


def test_half_precision_stays_there():
    model, batch = toy_model(), toy_batch()
    model.precision = "bf16"
    wanted = masked_scores(model, *asked_of(batch, "blur"))
    with pretended_gpu():
        model = toy_model().to(GPU)
        model.precision = "bf16"
        found = masked_scores(model, *asked_of(moved(batch), "blur"))
    assert isinstance(found, Pretended)
    assert alike(found.held, wanted)


def test_memory_that_runs_out_halves_the_batch_there(monkeypatch):
    wanted = masked_scores(toy_model(), *asked_of(toy_batch(), "black"))
    run = nn.Linear.forward

    def limited(self, x):
        if len(x) > 4:
            raise torch.OutOfMemoryError("out of memory")
        return run(self, x)

    monkeypatch.setattr(nn.Linear, "forward", limited)
    with pretended_gpu():
        model = toy_model().to(GPU)
        found = masked_scores(model, *asked_of(moved(toy_batch()), "black"))
    assert model.batch_size == 4
    assert alike(found.held, wanted)
