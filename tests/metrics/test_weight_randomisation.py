"""Weight randomisation: a literal cascade, closed forms, and a model that is not touched."""

from __future__ import annotations

import copy
import math
from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np
import pytest
import torch
from scipy.stats import entropy, spearmanr
from skimage.metrics import structural_similarity
from torch import nn

from xaibench.checks.model_state import ModelState
from xaibench.checks.stage import toy_batch, toy_model
from xaibench.engine.likeness import LIKENESSES
from xaibench.errors import UserError
from xaibench.explainers.base import Explainer
from xaibench.explainers.edge import Edge
from xaibench.metrics.weight_randomisation import WeightRandomisation
from xaibench.models.base import Classifier
from xaibench.randomness import image_seed
from xaibench.runs.rows import Block
from xaibench.runs.scoring import Scorer
from xaibench.store.cells import Cell

ABOUT = {"run": "r", "dataset": "toy", "split": "test", "model": "toy", "label": "a"}
ABOUT |= {"training_seed": 0}
IMAGES = 5
LAYERS = ["stem", "norm", "last", "fc"]


@dataclass(frozen=True)
class Gradient(Explainer):
    """Gradient of the target's logit, summed over channels; of one model alone if so told."""

    name: ClassVar[str] = "gradient"
    only: ClassVar[Classifier | None] = None

    def attribute(self, model, batch):
        if self.only not in (None, model):
            raise RuntimeError("no luck")
        images = batch.images.clone().requires_grad_()
        score = model.score(images, batch.targets, "logit").sum()
        return torch.autograd.grad(score, images)[0].sum(1)


def linear_model(seed: int = 5) -> Classifier:
    """f(x) = W x: the gradient of a target is its row of W."""
    torch.manual_seed(seed)
    return Classifier(
        nn.Sequential(nn.Flatten(), nn.Linear(3 * 32 * 32, 2)), head="softmax",
        classes=("a", "b"), mean=(0.0,) * 3, std=(1.0,) * 3, cam_layer=None, linear_head="1",
        pool=None, input_shape=(3, 32, 32),
    )  # fmt: skip


def score_cells(explainer, metric, model, seed=0):
    batch = toy_batch(images=IMAGES)
    own = lambda i: {"image": batch.ids[i], "group": batch.groups[i], "target": "a"}
    block = Block(batch, tuple(ABOUT | own(i) | {"p_target": 0.7} for i in range(IMAGES)))
    scorer = Scorer(model, {"weights": metric}, "slic", None, seed)
    return scorer.score_cells({Cell("mine", 0): explainer}, block)[0]


def values_of(result) -> dict[str, list[float]]:
    names = {row["metric"]: [] for row in result.scores}
    for row in result.scores:
        names[row["metric"]].append(row["value"])
    return {name.removeprefix("weights@"): values for name, values in names.items()}


def literal(one, other):
    unit = [(m - m.min()) / (m.max() - m.min()) for m in (one, other)]
    return {
        "spearman": spearmanr(one.ravel(), other.ravel()).statistic,
        "spearman_abs": spearmanr(abs(one).ravel(), abs(other).ravel()).statistic,
        "ssim": structural_similarity(*unit, data_range=1.0),
    }


def literal_rise(one, other):
    """Hedström et al. 2024: the discrete entropy of numpy's histogram of 100 bins."""
    before, after = (entropy(np.histogram(m, bins=100)[0]) for m in (one, other))
    return (after - before) / before


@pytest.mark.parametrize(("stages", "counts"), [(1, [4]), (2, [2, 4]), (3, [1, 3, 4]), (9, None)])
def test_stages_are_cumulative_from_the_output(stages, counts):
    """round(k layers / stages) of the last layers, each as if it were drawn alone."""
    model = toy_model()
    others = WeightRandomisation(stages=stages).others(model, None, seed=2)
    counts = counts or [1, 2, 3, 4]
    assert list(others) == [n / 4 for n in counts]
    for count, other in zip(counts, others.values(), strict=True):
        for layer in LAYERS:
            same = torch.equal(
                other.net.get_submodule(layer).bias, model.net.get_submodule(layer).bias
            )
            # The norm's fresh bias is 0 before and after; its statistics tell.
            if layer == "norm":
                same = torch.equal(other.net.norm.running_mean, model.net.norm.running_mean)
            assert same == (layer not in LAYERS[4 - count :])
        assert other.passes is model.passes
        assert not other.training
    assert torch.equal(others[1.0].net.fc.weight, next(iter(others.values())).net.fc.weight)


def test_equals_a_literal_cascade_on_a_linear_model():
    """The map is the row of W itself: the twin draws W by torch's own hand, seeded by its name."""
    model, batch = linear_model(), toy_batch(images=IMAGES)
    result = score_cells(Gradient(), WeightRandomisation(), model, seed=7)
    drawn = nn.Linear(3 * 32 * 32, 2)
    torch.manual_seed(image_seed(7, "1"))
    drawn.reset_parameters()
    found = values_of(result)
    for i, target in enumerate(batch.targets.tolist()):
        one, other = (
            layer.weight[target].view(3, 32, 32).sum(0).detach().double().numpy()
            for layer in (model.net[1], drawn)
        )
        for how, twin in literal(one, other).items():
            assert found[how][i] == pytest.approx(twin, abs=1e-6)
            assert abs(found[how][i]) < 0.5
        assert found["entropy_rise"][i] == pytest.approx(literal_rise(one, other), abs=1e-3)
    assert [row["x"] for row in result.curves] == [[0.0, 1.0]] * 3 * IMAGES


def test_equals_a_literal_cascade_on_a_deep_model():
    """Every stage's model explained apart, map by map."""
    model, batch = toy_model().double(), toy_batch(images=IMAGES)
    metric = WeightRandomisation(stages=2)
    result = score_cells(Gradient(), metric, model)
    others = metric.others(toy_model().double(), None, seed=0)
    own = Gradient()(model, batch).maps.double().numpy()
    maps = [Gradient()(each, batch).maps.double().numpy() for each in others.values()]
    found = values_of(result)
    for i in range(IMAGES):
        twins = [literal(own[i], stage[i]) for stage in maps]
        for how in LIKENESSES:
            assert found[how][i] == pytest.approx(twins[-1][how], abs=1e-9)
            (curve,) = (
                row for row in result.curves if (row["image"], row["curve"]) == (batch.ids[i], how)
            )
            assert curve["x"] == [0.0, 0.5, 1.0]
            assert curve["y"] == pytest.approx([1.0, *(t[how] for t in twins)], abs=1e-9)
        assert found["entropy_rise"][i] == pytest.approx(
            literal_rise(own[i], maps[-1][i]), abs=1e-9
        )


def test_what_asks_no_model_stays_the_same():
    """An edge map: likeness exactly 1 at every stage, no rise; its control far below."""
    result = score_cells(Edge(), WeightRandomisation(), toy_model())
    found = values_of(result)
    for how in LIKENESSES:
        assert found[how] == pytest.approx([1.0] * IMAGES, abs=1e-12)
        assert max(map(abs, found[f"{how}_control"])) < 0.2
    assert found["entropy_rise"] == [0.0] * IMAGES
    for row in result.curves:
        assert row["y"] == pytest.approx([1.0] * 4, abs=1e-12)


def test_the_entropy_of_known_histograms():
    """Of n equally filled bins it is log n: from 2 to 4 values it doubles, back it halves."""
    two = torch.tensor([0.0, 1.0]).repeat(128).view(1, 16, 16)
    four = torch.tensor([0.0, 1.0, 2.0, 3.0]).repeat(64).view(1, 16, 16)
    flat = torch.full((1, 16, 16), 0.5)
    maps, others = torch.cat([two, four, two, flat]), torch.cat([four, two, flat, two])
    batch = toy_batch().take([0, 1, 2, 3])
    scores = WeightRandomisation().compare(
        toy_model(), {1.0: toy_model(seed=1)}, batch, maps, lambda *_: others
    )
    rise = scores.values["weight_randomisation@entropy_rise"]
    assert rise[:2].tolist() == pytest.approx([1.0, -0.5], abs=1e-12)
    assert rise[2:].isnan().all()
    assert scores.undefined["weight_randomisation@entropy_rise"]


def test_the_passes_of_the_extra_maps_are_scorings():
    timing = score_cells(Gradient(), WeightRandomisation(stages=2), toy_model()).timing
    assert (timing["explain_forward"], timing["explain_backward"]) == (IMAGES, IMAGES)
    assert (timing["score_forward"], timing["score_backward"]) == (2 * IMAGES, 2 * IMAGES)


@pytest.mark.parametrize("fails", [False, True])
def test_the_model_is_given_back_as_it_was(fails, monkeypatch):
    """Weights, statistics, modes, hooks: also where every map of the other models fails."""
    before = toy_model()
    before.net.act.train()
    model = copy.deepcopy(before)
    monkeypatch.setattr(Gradient, "only", model if fails else None)
    found = values_of(score_cells(Gradient(), WeightRandomisation(), model))
    assert all(math.isnan(v) for v in found["spearman"]) == fails
    assert not any(math.isnan(v) for v in found["spearman_control"])
    for name, value in before.state_dict().items():
        assert torch.equal(model.state_dict()[name], value)
    assert [m.training for m in model.modules()] == [m.training for m in before.modules()]
    assert not any(m._forward_hooks or m._forward_pre_hooks for m in model.modules())


def test_the_model_is_as_found_where_a_layer_cannot_be_drawn(monkeypatch):
    def fail(self):
        raise RuntimeError("no luck")

    model, kept = toy_model(), toy_model().state_dict()
    monkeypatch.setattr(nn.Conv2d, "reset_parameters", fail)
    with pytest.raises(RuntimeError, match="no luck"):
        WeightRandomisation().others(model, None, seed=0)
    assert all(torch.equal(v, kept[k]) for k, v in model.state_dict().items())
    assert not any(m._forward_pre_hooks for m in model.modules())


def test_the_seed_of_the_run_decides_and_nothing_else():
    state = torch.get_rng_state()
    one, same = (WeightRandomisation().others(toy_model(), None, seed=4)[1.0] for _ in range(2))
    other = WeightRandomisation().others(toy_model(), None, seed=5)[1.0]
    weights = lambda model: torch.cat([p.flatten() for p in model.parameters()])
    assert torch.equal(weights(one), weights(same))
    assert not torch.equal(weights(one), weights(other))
    assert torch.equal(torch.get_rng_state(), state)


def test_maps_are_those_of_a_batch_of_one():
    metric, maps = WeightRandomisation(), torch.rand(IMAGES, 32, 32)
    model, batch = toy_model().double(), toy_batch(images=IMAGES)
    others = metric.others(model, None, seed=0)
    remake = lambda model, batch: Gradient()(model, batch).maps
    whole = metric.compare(model, others, batch, maps, remake).values
    for i in range(IMAGES):
        alone = metric.compare(model, others, batch.take([i]), maps[[i]], remake).values
        for name, value in whole.items():
            assert value[i].item() == pytest.approx(alone[name].item(), abs=1e-9)


def test_noisy_copies_average_the_maps_of_both_models():
    """The explainer is the image's square: its mean over copies is x^2 + sigma^2 in the middle."""
    batch = toy_batch(images=2)
    batch = replace(
        batch, images=batch.images.mean((2, 3), keepdim=True).expand(-1, -1, 32, 32) * 1
    )
    batch.images[:, :, 0, 0], batch.images[:, :, 0, 1] = 0.25, 0.75  # a range of a half
    asked = []

    def remake(model, batch):
        asked.append((model, batch.images, batch.seeds))
        return batch.images.mean(1)

    metric, model, other = WeightRandomisation(noisy_copies=40), toy_model(), toy_model(seed=1)
    scores = metric.compare(model, {1.0: other}, batch, torch.rand(2, 32, 32), remake)
    assert [m for m, _, _ in asked] == [model] * 40 + [other] * 40
    assert all(torch.equal(seeds, batch.seeds) for _, _, seeds in asked)
    noise = torch.stack([images - batch.images for _, images, _ in asked[:40]]).double()
    # 0.2 of a range of a half, five of which lie between a half and the ends: next to none is cut.
    inner = noise[..., 1:, :].flatten()
    assert inner.std().item() == pytest.approx(0.1, rel=0.01)
    assert abs(inner.mean().item()) < 4 * 0.1 / len(inner) ** 0.5
    assert torch.corrcoef(noise[:, :, :, 1:].flatten(1)).fill_diagonal_(0).abs().max() < 0.08
    pictures = [images for _, images, _ in asked]
    assert all(torch.equal(a, b) for a, b in zip(pictures[:40], pictures[40:], strict=True))
    assert min(p.min() for p in pictures) >= 0
    assert max(p.max() for p in pictures) <= 1
    # Both models are shown the same noise: a map of the image alone stays the same.
    assert scores.values["weight_randomisation@ssim"].tolist() == pytest.approx([1.0, 1.0])


def test_its_ids_name_what_defines_it():
    name = "weight_randomisation@ssim"
    said = "weight_randomisation@ssim[bins=100,norms=recalibrated,stages=3]"
    assert WeightRandomisation().protocol(name, "slic") == said
    noisy = WeightRandomisation(noisy_copies=8, noise=0.1).protocol(name, "slic")
    assert noisy == (
        "weight_randomisation@ssim[bins=100,noise=0.1,noisy_copies=8,norms=recalibrated,stages=3]"
    )
    directions = {
        n: WeightRandomisation().direction(n) for n in WeightRandomisation().value_names(())
    }
    assert directions.pop("weight_randomisation@entropy_rise") is True
    assert {n for n, d in directions.items() if d is False} == {
        f"weight_randomisation@{how}" for how in LIKENESSES
    }
    assert {n for n, d in directions.items() if d is None} == {
        f"weight_randomisation@{how}_control" for how in LIKENESSES
    }


def test_a_network_without_parameters_is_refused():
    model = linear_model()
    model.net = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten())
    with pytest.raises(UserError, match="no parameters that can be drawn anew"):
        WeightRandomisation().others(model, None, seed=0)


def test_conformance_finds_a_touched_model():
    """The check that plugins pass would see it if the model itself were drawn anew."""

    model = toy_model()
    state = ModelState(model)
    WeightRandomisation().others(model, None, seed=0)
    assert state.changes() == {}
    model.net.fc.reset_parameters()
    assert list(state.changes()) == ["leaves weights and buffers as found"]
