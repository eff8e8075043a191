"""Random logit and completeness: twins, closed forms, Quantus."""

from __future__ import annotations

import warnings
from dataclasses import replace

import numpy as np
import pytest
import torch
from scipy.stats import spearmanr
from skimage.metrics import structural_similarity
from torch import nn

from xaibench.checks.stage import toy_batch, toy_model
from xaibench.metrics.completeness import Completeness
from xaibench.metrics.random_logit import RandomLogit, _other_targets
from xaibench.models.base import Classifier, PassCount

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    quantus = pytest.importorskip("quantus")


def linear_model(weights: torch.Tensor, head: str = "regression") -> Classifier:
    """A linear score for each row of the weights."""
    linear = nn.Linear(weights[0].numel(), len(weights), bias=False)
    linear.weight.data = weights.flatten(1)
    return Classifier(
        nn.Sequential(nn.Flatten(), linear), head=head, classes=tuple("abcdefg"[: len(weights)]),
        mean=(0.0,) * weights.shape[1], std=(1.0,) * weights.shape[1], cam_layer=None,
        linear_head="1", pool=None, input_shape=tuple(weights.shape[1:]),
    )  # fmt: skip


def weights(outputs: int) -> torch.Tensor:
    return torch.randn(outputs, 3, 32, 32, generator=torch.Generator().manual_seed(2)) / 50


def product(model, batch) -> torch.Tensor:
    """Input times gradient, signed."""
    images = batch.images.clone().requires_grad_()
    score = model.score(images, batch.targets, "logit").sum()
    return (torch.autograd.grad(score, images)[0] * batch.images).sum(1)


@pytest.mark.parametrize("head", ["softmax", "multilabel"])
def test_equals_the_likeness_to_the_map_of_the_other_target(head):
    model, batch = linear_model(weights(4), head), toy_batch()
    batch.targets.copy_(torch.tensor([0, 1, 2, 3, 0]))
    maps = product(model, batch)
    values = RandomLogit().compare(model, {}, batch, maps, product).values
    others = _other_targets(model, batch)
    assert not (others == batch.targets).any()
    for i in range(5):
        # In closed form: the weights of the other output times the image.
        w = model.net[1].weight.detach()[others[i]].view(3, 32, 32)
        one, other = maps[i].numpy(), (w * batch.images[i]).sum(0).numpy()
        scaled = [(m - m.min()) / (m.max() - m.min()) for m in (one, other)]
        twin = {
            "spearman": spearmanr(one.ravel(), other.ravel())[0],
            "spearman_abs": spearmanr(abs(one).ravel(), abs(other).ravel())[0],
            "ssim": structural_similarity(*scaled, data_range=1),
        }
        found = {how: values[f"random_logit@{how}"][i].item() for how in twin}
        assert found == pytest.approx(twin, abs=1e-4)


def test_the_other_target_is_drawn_evenly_by_the_seed_of_the_image():
    model, many = linear_model(weights(4)), toy_batch().take([0] * 3000)
    many.seeds.copy_(torch.arange(3000))
    many.targets.fill_(2)
    others = _other_targets(model, many)
    counts = others.bincount(minlength=4)
    assert counts[2] == 0
    assert all(abs(c - 1000) < 4 * np.sqrt(3000 * 2 / 9) for c in counts[[0, 1, 3]].tolist())
    assert torch.equal(_other_targets(model, many.take([7, 3])), others[[7, 3]])


def test_of_a_single_logit_the_other_class_is_the_opposite():
    model, batch = toy_model("single_logit", 1), toy_batch(1)
    maps = product(model, batch)
    found = RandomLogit().compare(model, {}, batch, maps, product).values
    assert found["random_logit@spearman"].tolist() == pytest.approx([-1] * 5)
    assert found["random_logit@spearman_abs"].tolist() == pytest.approx([1] * 5)


def test_an_explainer_that_does_not_look_at_the_class_scores_one():
    model, batch = toy_model(), toy_batch()
    maps = product(model, batch)
    found = RandomLogit().compare(model, {}, batch, maps, lambda *_: maps).values
    for how in ("spearman", "spearman_abs", "ssim"):
        assert found[f"random_logit@{how}"].tolist() == pytest.approx([1] * 5)
        assert max(abs(v) for v in found[f"random_logit@{how}_control"].tolist()) < 0.3


def test_one_output_has_no_other_and_says_so():
    model, batch = linear_model(weights(1)), toy_batch()
    batch.targets.zero_()
    maps = product(model, batch)
    found = RandomLogit().compare(model, {}, batch, maps, product)
    assert found.values["random_logit@ssim"].isnan().all()
    assert found.undefined["random_logit@ssim"] == "the model has one output only"
    assert found.values["random_logit@ssim_control"].isfinite().all()


def test_completeness_of_a_linear_model():
    """Input times gradient is complete against black; half of it lacks half of the rise."""
    model, batch = linear_model(weights(2)), toy_batch()
    maps = product(model, batch)
    found = lambda maps: Completeness("black").score(model, batch, maps).values["completeness"]
    assert found(maps).tolist() == pytest.approx([0] * 5, abs=1e-5)
    rise = model.score(batch.images, batch.targets, "logit").detach()
    assert found(maps / 2).tolist() == pytest.approx((rise.abs() / 2).tolist(), abs=1e-5)
    assert found(torch.zeros_like(maps)).tolist() == pytest.approx(rise.abs().tolist(), abs=1e-5)


@pytest.mark.parametrize("space", ["prob", "logit"])
@pytest.mark.parametrize("fill", ["dataset_mean", "image_mean"])
def test_completeness_equals_a_loop(space, fill):
    model, batch = toy_model("single_logit", 3), toy_batch()
    maps = product(model, batch)
    metric = Completeness(fill, space)
    model.passes = PassCount()
    values = metric.score(model, batch, maps).values["completeness"]
    assert metric.cost(model, batch) == model.passes == PassCount()
    for i in range(5):
        colour = batch.dataset_mean if fill == "dataset_mean" else batch.images[i].mean((1, 2))
        behind = colour[:, None, None].expand(3, 32, 32)
        target = batch.targets[i : i + 1]
        scores = [model.score(x[None], target, space).item() for x in (batch.images[i], behind)]
        total = sum(maps[i].flatten().tolist())
        assert values[i].item() == pytest.approx(abs(total - (scores[0] - scores[1])), abs=1e-4)


def test_completeness_where_quantus_says_yes():
    """Quantus' test of equality, on numbers that floats hold exactly, in its one channel."""
    w = torch.zeros(1, 1, 32, 32)
    w[0, 0, 0, :2] = torch.tensor([0.5, 0.25])
    model, batch = linear_model(w), toy_batch(1)
    batch.targets.zero_()
    batch.images.zero_()
    batch.images[:, :, 0, :2] = 1
    maps = product(model, batch)
    mine = Completeness("black").score(model, batch, maps).values["completeness"].tolist()
    theirs = quantus.Completeness(normalise=False, disable_warnings=True)(
        model=model.eval(),
        x_batch=batch.images[:1].numpy(),
        y_batch=np.zeros(1, int),
        a_batch=maps[:1, None].detach().numpy(),
    )
    assert (mine[0] == 0) == bool(theirs[0]) is True


def test_protocols():
    assert RandomLogit().protocol("random_logit@ssim", "") == "random_logit@ssim[other=seeded]"
    said = "completeness[fill=dataset_mean,score=logit]"
    assert Completeness().protocol("completeness", "") == said
    assert Completeness().value_bounds("completeness") == (0, float("inf"))
    assert RandomLogit().direction("random_logit@ssim") is False
    assert RandomLogit().direction("random_logit@ssim_control") is None


def test_targets_of_the_batch_stay_what_they_were():
    model, batch = toy_model(), toy_batch()
    before = batch.targets.clone()
    seen = []

    def explain(_, asked):
        seen.append(asked.targets)
        return product(model, asked)

    RandomLogit().compare(model, {}, batch, product(model, batch), explain)
    assert torch.equal(batch.targets, before)
    assert torch.equal(seen[0], 1 - before)
    assert replace(batch, targets=seen[0]).shared is not batch.shared
