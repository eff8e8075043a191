"""The metrics of Quantus: each against Quantus itself on one image; what is kept from it."""

from __future__ import annotations

import gc
import math
import warnings
import weakref
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn

from xaibench.checks.stage import toy_batch, toy_model
from xaibench.engine.columns import Columns
from xaibench.errors import UserError
from xaibench.models.base import Classifier, PassCount
from xaibench.randomness import PERTURBATION, draw_seeds, random_uniform
from xaibench.registry import Registry

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    quantus = pytest.importorskip("quantus")

NAMES = [n for n in Registry().names("metric") if n.startswith("quantus.")]
SIDES = {"square": (16, 16), "wide": (12, 20)}


def load(name: str, **parameters):
    return Registry().load("metric", f"quantus.{name}")(**parameters)


class Probabilities(nn.Module):
    """What Quantus is told to ask for by ``softmax=True``, for both heads; written apart."""

    def __init__(self, model: Classifier) -> None:
        super().__init__()
        self.model = model

    def forward(self, images):
        logits = self.model.net((images - self.model.mean) / self.model.std)
        if self.model.head == "single_logit":
            return torch.cat([1 - logits.sigmoid(), logits.sigmoid()], 1)
        return logits.softmax(1)


def small_batch(channels: int = 3, size: tuple[int, int] = (12, 20)):
    whole = toy_batch(channels)
    cut = (..., slice(size[0]), slice(size[1]))
    masks = torch.zeros(5, *size, dtype=torch.bool)
    masks[1:, 3:9, 4:11] = True
    parts = {k: getattr(whole, k)[cut] for k in ("images", "segments", "references")}
    return replace(whole, masks={"evidence": masks}, **parts)


def signed_maps(size: tuple[int, int] = (12, 20)) -> torch.Tensor:
    return torch.randn(5, *size, generator=torch.Generator().manual_seed(8))


def gradients(model, batch) -> torch.Tensor:
    """Maps of an explainer that looks at the image."""
    images = batch.images.clone().requires_grad_()
    score = model.score(images, batch.targets, "logit").sum()
    return (torch.autograd.grad(score, images)[0] * images).sum(1).detach()


def direct(metric, model, batch, maps, i: int, seed: int | None = None, **more):
    """Ask Quantus itself, on one image."""
    mask = batch.masks["evidence"][i : i + 1, None].numpy()
    if seed is not None:
        np.random.seed([seed & 0xFFFFFFFF, seed >> 32])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return metric(
            model=Probabilities(model).eval(),
            x_batch=batch.images[i : i + 1].numpy().copy(),
            y_batch=batch.targets[i : i + 1].numpy(),
            a_batch=maps[i : i + 1, None].numpy().copy(),
            s_batch=mask,
            channel_first=True,
            softmax=False,
            **more,
        )


first: Callable = lambda found: found[0]
area: Callable = lambda found: sum(
    (a + b) / 2 for a, b in zip(found[0], found[0][1:], strict=False)
)

PERTURBING = {
    # name: (our parameters, Quantus' metric with the same, the value in what it gives)
    "pixel_flipping": (
        {"features_in_step": 60},
        lambda: quantus.PixelFlipping(features_in_step=60, return_auc_per_sample=True),
        first,
    ),
    "faithfulness_estimate": (
        {"features_in_step": 30, "perturb_baseline": "mean"},
        lambda: quantus.FaithfulnessEstimate(features_in_step=30, perturb_baseline="mean"),
        first,
    ),
    "faithfulness_correlation": (
        {"nr_runs": 12, "subset_size": 40},
        lambda: quantus.FaithfulnessCorrelation(nr_runs=12, subset_size=40, return_aggregate=False),
        first,
    ),
    "monotonicity": (
        {"features_in_step": 60},
        lambda: quantus.Monotonicity(features_in_step=60),
        first,
    ),
    "monotonicity_correlation": (
        {"features_in_step": 60, "nr_samples": 3},
        lambda: quantus.MonotonicityCorrelation(features_in_step=60, nr_samples=3),
        first,
    ),
    "region_perturbation": (
        {"patch_size": 4, "regions_evaluation": 9},
        lambda: quantus.RegionPerturbation(patch_size=4, regions_evaluation=9),
        area,
    ),
    "selectivity": (
        {"patch_size": 4, "perturb_baseline": "uniform"},
        lambda: quantus.Selectivity(patch_size=4, perturb_baseline="uniform"),
        area,
    ),
    "infidelity": ({}, lambda: quantus.Infidelity(n_perturb_samples=1), first),
    "sparseness": ({}, quantus.Sparseness, first),
    "complexity": ({}, quantus.Complexity, first),
    "effective_complexity": (
        {"eps": 0.3},
        lambda: quantus.EffectiveComplexity(eps=0.3),
        first,
    ),
}
ONE_CHANNEL = {
    "irof": ({}, lambda: quantus.IROF(return_aggregate=False), first),
    "road": (
        {"percentages": (10, 60)},
        lambda: quantus.ROAD(percentages=[10, 60]),
        lambda found: (found[10] + found[60]) / 2,
    ),
}
MASKED = {
    "pointing_game": ({}, quantus.PointingGame),
    "attribution_localisation": ({}, quantus.AttributionLocalisation),
    "top_k_intersection": ({"k": 31}, lambda: quantus.TopKIntersection(k=31)),
    "relevance_rank_accuracy": ({}, quantus.RelevanceRankAccuracy),
    "relevance_mass_accuracy": ({}, quantus.RelevanceMassAccuracy),
    "auc": ({}, quantus.AUC),
}
STABLE = {
    "max_sensitivity": ({"lower_bound": 0.1}, quantus.MaxSensitivity, lambda u: 0.1 * (2 * u - 1)),
    "avg_sensitivity": ({"lower_bound": 0.1}, quantus.AvgSensitivity, lambda u: 0.1 * (2 * u - 1)),
    "local_lipschitz_estimate": (
        {"perturb_std": 0.05},
        quantus.LocalLipschitzEstimate,
        lambda u: 0.05 * torch.special.ndtri(u),
    ),
    "relative_input_stability": (
        {"upper_bound": 0.06},
        quantus.RelativeInputStability,
        lambda u: 0.02 + 0.04 * u,
    ),
    "relative_output_stability": (
        {"upper_bound": 0.06},
        quantus.RelativeOutputStability,
        lambda u: 0.02 + 0.04 * u,
    ),
}


def test_every_metric_of_the_family_is_compared():
    compared = {*PERTURBING, *ONE_CHANNEL, *MASKED, *STABLE}
    assert {f"quantus.{name}" for name in compared} == set(NAMES)


@pytest.fixture
def _with_trapz(monkeypatch):
    """numpy 2.4 has no ``trapz``, which Quantus 0.6 calls."""
    monkeypatch.setattr(np, "trapz", np.trapezoid, raising=False)


@pytest.mark.usefixtures("_with_trapz")
@pytest.mark.parametrize(("head", "channels"), [("softmax", 3), ("single_logit", 1)])
@pytest.mark.parametrize("name", [*PERTURBING, *ONE_CHANNEL])
def test_equals_quantus_on_one_image(name, head, channels):
    parameters, make, value = (PERTURBING | ONE_CHANNEL)[name]
    if channels == 3 and name in ONE_CHANNEL:
        return  # see what becomes of them below
    metric = load(name, **parameters)
    model, batch, maps = toy_model(head, channels), small_batch(channels), signed_maps()
    values = metric.score(model, batch, maps).values[metric.name].tolist()
    passes = metric.cost(model, batch)
    assert passes is None or passes == model.passes
    for i in range(5):
        found = value(direct(make(), model, batch, maps, i, int(batch.seeds[i])))
        assert values[i] == pytest.approx(float(found), abs=1e-6, rel=1e-5), i


@pytest.mark.parametrize("name", MASKED)
def test_equals_quantus_against_a_mask(name):
    parameters, make = MASKED[name]
    metric = load(name, **parameters)
    model, batch, maps = toy_model(), small_batch(), signed_maps()
    values = metric.score(model, batch, maps).values[f"{metric.name}@evidence"].tolist()
    assert metric.cost(model, batch) == model.passes == PassCount()
    assert math.isnan(values[0])  # its mask is empty
    for i in range(1, 5):
        assert values[i] == pytest.approx(float(direct(make(), model, batch, maps, i)[0]), abs=1e-6)


@pytest.mark.parametrize("name", STABLE)
def test_equals_quantus_with_noisy_copies(name):
    parameters, make, noise = STABLE[name]
    metric = load(name, nr_samples=4, **parameters)
    model, batch = toy_model(), small_batch()
    maps = gradients(model, batch)
    values = metric.compare(model, {}, batch, maps, gradients).values[metric.name].tolist()
    for i in range(5):
        number = iter(range(1, 9))

        def perturb(arr, i=i, number=number, **_):
            seeds = draw_seeds(batch.seeds[i : i + 1], next(number))
            drawn = noise(random_uniform(seeds, arr.shape[1], PERTURBATION))
            return (torch.from_numpy(arr) + drawn).clamp(0, 1).to(torch.float32).numpy()

        def explain(model, inputs, targets, i=i, **_):
            one = replace(batch.take([i]), images=torch.from_numpy(inputs))
            return gradients(model.model, one)[:, None].numpy()

        peer = make(nr_samples=4, perturb_func=perturb)
        found = direct(peer, model, batch, maps, i, explain_func=explain)[0]
        assert values[i] == pytest.approx(float(found), rel=1e-3, nan_ok=True), i
    assert sum(math.isnan(v) for v in values) < 5


def test_road_of_several_channels_has_no_value_and_says_why():
    metric = load("road")
    with pytest.raises(IndexError):
        direct(quantus.ROAD(), toy_model(), small_batch(), signed_maps(), 0)
    scores = metric.score(toy_model(), small_batch(), signed_maps())
    assert scores.values[metric.name].isnan().all()
    assert "one channel only" in scores.undefined[metric.name]


@pytest.mark.usefixtures("_with_trapz")
def test_irof_of_several_channels_takes_its_masks_for_all_of_them():
    """Quantus' own masks fail there; three equal channels give what one gives."""
    metric = load("irof", perturb_baseline=0.5)
    one = small_batch(1)
    grey = replace(
        one,
        images=one.images.expand(-1, 3, -1, -1).contiguous(),
        references=one.references.expand(-1, 3, -1, -1),
        dataset_mean=one.dataset_mean.expand(3),
    )
    model, maps = toy_model(), signed_maps()
    with pytest.raises(AssertionError):
        direct(quantus.IROF(), model, grey, maps, 0)
    values = metric.score(model, grey, maps).values[metric.name]
    assert values.isfinite().all()
    assert len(set(values.tolist())) == 5


def test_known_faults_are_there_still():
    """Monotonicity (Arya) is 1 for whatever map; what was left out fails."""
    model, batch, maps = toy_model(), small_batch(), signed_maps()
    values = load("monotonicity").score(model, batch, maps).values["quantus.monotonicity"]
    assert values.tolist() == [1] * 5
    hit = maps + 9 * batch.masks["evidence"]
    with pytest.raises(TypeError):
        direct(quantus.PointingGame(weighted=True), model, batch, hit, 1)
    # One image is two less than none: its size is taken for 0.
    found = direct(quantus.AttributionLocalisation(weighted=True), model, batch, hit, 1)
    assert np.isinf(found[0])
    # It correlates over images, of which there is one.
    with pytest.raises(ValueError, match="at least 2"):
        direct(quantus.SensitivityN(features_in_step=60), model, batch, maps, 1)


@pytest.mark.parametrize("name", NAMES)
def test_a_map_that_quantus_refuses_has_no_value_and_says_why(name):
    fewer = {"nr_samples": 2} if name.partition(".")[2] in STABLE else {}
    metric = Registry().load("metric", name)(**fewer)
    model, batch, maps = toy_model("single_logit", 1), small_batch(1).take([1, 2, 3]), signed_maps()
    maps = torch.stack([torch.zeros_like(maps[0]), -1 - maps[0].abs(), maps[2]])
    if hasattr(metric, "compare"):
        scores = metric.compare(model, {}, batch, maps, lambda *_: maps[[2, 2, 2]])
    else:
        scores = metric.score(model, batch, maps)
    value = f"{name}@evidence" if f"{name}@evidence" in scores.values else name
    stable_prediction = "relative" not in name
    assert scores.values[value].isnan().tolist()[:2] == [True, True]
    assert scores.values[value][2].isfinite() or not stable_prediction
    assert "Quantus refuses" in scores.undefined[value]


def test_a_copys_map_that_quantus_refuses_ends_only_its_own_image():
    metric = load("max_sensitivity", nr_samples=3)
    model, batch, maps = toy_model(), small_batch(), signed_maps()

    def remake(_, asked):
        made = gradients(model, asked)
        made[2] = 0
        return made

    values = metric.compare(model, {}, batch, maps, remake).values[metric.name]
    assert values.isnan().tolist() == [False, False, True, False, False]
    others = metric.compare(model, {}, batch.take([3]), maps[[3]], gradients).values[metric.name]
    assert others.item() == pytest.approx(values[3].item(), rel=1e-4)


def test_leaves_the_process_as_it_was():
    model, batch, maps = toy_model(), small_batch(), signed_maps()
    area_of = quantus.helpers.utils.calculate_auc
    np.random.seed(3)
    torch.manual_seed(3)
    before = np.random.get_state()[1].tolist(), torch.get_rng_state().tolist()
    filters, errors = list(warnings.filters), np.geterr()
    load("faithfulness_correlation", nr_runs=3).score(model, batch, maps)
    load("pixel_flipping", features_in_step=60).score(model, batch, maps)
    load("max_sensitivity", nr_samples=2).compare(model, {}, batch, maps, gradients)
    after = np.random.get_state()[1].tolist(), torch.get_rng_state().tolist()
    assert after == before
    assert (warnings.filters, np.geterr()) == (filters, errors)
    assert quantus.helpers.utils.calculate_auc is area_of


def test_draws_depend_on_the_image_alone(capsys):
    metric = load("faithfulness_correlation", nr_runs=8, subset_size=50, abs=True)
    model, batch, maps = toy_model(), small_batch(), signed_maps()
    values = metric.score(model, batch, maps).values[metric.name]
    assert torch.equal(metric.score(model, batch, maps).values[metric.name], values)
    part = metric.score(model, batch.take([4, 1]), maps[[4, 1]]).values[metric.name]
    assert torch.equal(part, values[[4, 1]])
    assert capsys.readouterr().out == ""


def test_keeps_no_model_alive():
    """Quantus caches a method by its model wrapper for ever."""
    model, batch, maps = toy_model(), small_batch(), signed_maps()
    load("selectivity").score(model, batch, maps)
    gone = weakref.ref(model)
    del model
    gc.collect()
    assert gone() is None


@pytest.mark.parametrize("head", ["softmax", "single_logit", "multilabel", "regression"])
@pytest.mark.parametrize("space", ["prob", "logit"])
def test_columns_of_every_head(head, space):
    model, batch = toy_model("softmax"), small_batch()
    if head == "single_logit":
        model = toy_model("single_logit")
    model.head = head
    columns = Columns(model, space)(batch.images)
    for target in range(2):
        score = model.score(batch.images, torch.full((5,), target), space)
        assert columns[:, target].tolist() == pytest.approx(score.tolist(), abs=1e-6)
    assert list(Columns(model, space).modules())[1:] == []


@pytest.mark.parametrize(
    ("name", "parameters", "says"),
    [
        ("pixel_flipping", {"features_in_step": 7}, "7 does not divide the 1551 pixels"),
        ("infidelity", {"patch_size": 4}, "4 does not divide both sides"),
        ("faithfulness_correlation", {"subset_size": 1551}, "it must be smaller"),
        ("top_k_intersection", {"k": 1551}, "it must be smaller"),
    ],
)
def test_refuses_sizes_that_quantus_cannot_take(name, parameters, says):
    with pytest.raises(UserError, match=says):
        load(name, **parameters).check((33, 47))
    load(name).check((33, 47))


def test_bounds_of_noise_are_checked():
    with pytest.raises(UserError, match="not below"):
        load("relative_input_stability", lower_bound=0.3).validate()


@pytest.mark.parametrize("shape", [(3, 32, 32), (1, 33, 47), (3, 33, 47), (3, 31, 31), (3, 7, 13)])
def test_steps_of_any_size(shape):
    metric = load("pixel_flipping")
    pixels = shape[1] * shape[2]
    assert pixels % metric.step(shape) == 0
    assert metric.steps(shape) <= 50 or metric.step(shape) == pixels
    smaller = [d for d in range(1, metric.step(shape)) if pixels % d == 0]
    assert all(shape[0] * pixels / d > 50 for d in smaller)


def test_directions_and_protocols():
    morf, lerf = load("region_perturbation"), load("region_perturbation", order="lerf")
    assert (morf.direction(morf.name), lerf.direction(lerf.name)) == (True, False)
    said = load("pixel_flipping").protocol("quantus.pixel_flipping", "")
    version = ".".join(quantus.__version__.split(".")[:2])
    assert said == (
        f"quantus.pixel_flipping[abs=False,perturb_baseline=black,quantus={version},score=prob]"
    )
