"""ROAD: a literal twin with an exact solution, a closed form, Quantus, and its edge cases."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
import quantus
import torch
from subjects import images_batch, linear_model, net_model, signed_maps

from xaibench.errors import UserError
from xaibench.metrics.road import Road
from xaibench.randomness import IMPUTED, copy_seeds, random_normal


def literal(image: np.ndarray, missing: np.ndarray) -> np.ndarray:
    """Rong et al. 2022: an equation a pixel, known ones equal to themselves, solved densely."""
    channels, height, width = image.shape
    matrix, right = np.eye(height * width), image.reshape(channels, -1).T.copy()
    for y, x in np.argwhere(missing):
        i = y * width + x
        matrix[i, i], right[i] = 0, 0
        for dy, dx in itertools.product((-1, 0, 1), repeat=2):
            if (dy or dx) and 0 <= y + dy < height and 0 <= x + dx < width:
                weight = 1 / 12 if dy and dx else 1 / 6
                matrix[i, i] += weight
                matrix[i, (y + dy) * width + x + dx] -= weight
    return np.linalg.solve(matrix, right).T.reshape(image.shape)


@torch.no_grad()
@pytest.mark.parametrize("order", ["morf", "lerf"])
def test_equals_loop_over_levels_with_the_exact_solution(order):
    levels = (0.1, 0.55)
    model, batch = net_model(size=(17, 22)), images_batch(size=(17, 22), images=2)
    maps, pixels = signed_maps(batch), 17 * 22
    scores = Road(levels, order=order).score(model, batch, maps)
    curve = scores.curves["road" if order == "morf" else "road@lerf"]
    for i in range(2):
        ranking = maps[i].flatten().argsort(descending=order == "morf")
        found = []
        for k, level in enumerate(levels):
            missing = torch.zeros(pixels, dtype=torch.bool)
            missing[ranking[: math.floor(level * pixels + 0.5)]] = True
            missing = missing.view(17, 22)
            filled = literal(batch.images[i].double().numpy(), missing.numpy())
            seed = copy_seeds(batch.seeds[i : i + 1], torch.tensor([k]))
            noise = random_normal(seed, 3 * pixels, IMPUTED).view(3, 17, 22)
            image = torch.from_numpy(filled) + 0.01 * noise * missing
            found.append(model.score(image[None].float(), batch.targets[i : i + 1]).item())
            assert curve.x[i, k].item() == missing.sum() / pixels
        assert curve.y[i].tolist() == pytest.approx(found, abs=1e-5)
        assert scores.values["road"][i].item() == pytest.approx(sum(found) / 2, abs=1e-5)


def test_linear_model_of_a_plane_in_closed_form():
    """Imputation continues a plane exactly, so that the score stays what it was."""
    batch = images_batch(1, (18, 21), images=2)
    batch.targets.zero_()
    rows, columns = torch.meshgrid(torch.arange(18.0), torch.arange(21.0), indexing="ij")
    batch.images[:] = (0.02 * rows + 0.01 * columns)[None, None]
    weights = torch.randn(1, 18, 21, generator=torch.Generator().manual_seed(0))
    maps = torch.zeros(2, 18, 21)
    maps[:, 1:-1, 1:-1] = signed_maps(batch)[:, 1:-1, 1:-1].abs() + 1
    values = Road((0.2, 0.7), noise=0.0).score(linear_model(weights), batch, maps).values["road"]
    whole = (weights * batch.images).sum((1, 2, 3))
    assert values.tolist() == pytest.approx(whole.tolist(), abs=1e-4)


def test_the_noise_has_its_standard_deviation_and_only_where_pixels_go():
    batch = images_batch(1, (40, 40), images=1)
    batch.targets.zero_()
    batch.images[:] = 0.5
    maps = torch.zeros(1, 40, 40)
    maps[:, :20] = 1
    seen = []
    for y, x in ((0, 0), (5, 5), (30, 30)):
        weights = torch.zeros(1, 40, 40)
        weights[0, y, x] = 1
        seen.append(Road((0.5,), noise=0.1).score(linear_model(weights), batch, maps).values)
    moved = [(s["road"] - 0.5).abs().item() for s in seen]
    assert min(moved[:2]) > 1e-4
    assert moved[2] < 1e-6
    spread = Road((0.5,), noise=0.1).score(
        linear_model(torch.ones(1, 40, 40)), batch, maps
    ).values["road"] - 0.5 * 1600  # fmt: skip
    assert abs(spread.item()) < 4 * 0.1 * math.sqrt(800)


@pytest.mark.parametrize("order", ["morf", "lerf"])
def test_accuracy_equals_quantus_on_one_image_at_a_time(order):
    model, batch = net_model(channels=1, size=(20, 20)), images_batch(1, (20, 20), images=4)
    maps = signed_maps(batch)
    ours = Road((0.1, 0.3, 0.5, 0.8), noise=0.0, order=order, measure="accuracy")
    curve = next(iter(ours.score(model, batch, maps).curves.values()))
    theirs = quantus.ROAD(
        percentages=[10, 30, 50, 80], noise=0.0, normalise=False, disable_warnings=True
    )
    signed = maps if order == "morf" else -maps
    for i in range(4):
        found = theirs(
            model=model, x_batch=batch.images[i : i + 1].numpy(),
            y_batch=batch.targets[i : i + 1].numpy(), a_batch=signed[i : i + 1, None].numpy(),
            device="cpu", channel_first=True,
        )  # fmt: skip
        assert curve.y[i].tolist() == [found[p] for p in (10, 30, 50, 80)]
    assert 0 < curve.y.mean() < 1  # both answers occur


def test_accuracy_of_other_heads():
    maps = signed_maps(images_batch(1, (16, 16)))
    for head, outputs in (("single_logit", 2), ("multilabel", 3)):
        model, batch = net_model(head, 1, (16, 16), outputs), images_batch(1, (16, 16))
        kept = Road((0.5,), measure="accuracy").score(model, batch, maps).values["road"]
        p = Road((0.5,)).score(model, batch, maps).values["road"]
        whole = model.score(batch.images, batch.targets).detach()
        sides = (whole >= 0.5) if head == "multilabel" else torch.ones(3).bool()
        assert kept.tolist() == ((p >= 0.5) == sides).double().tolist()
    scores = Road((0.5,), measure="accuracy").score(
        net_model("regression", 1, (16, 16), 2), images_batch(1, (16, 16)), maps
    )
    assert scores.values["road"].isnan().all()
    assert scores.undefined == {"road": "a regressor decides for nothing"}


def test_exactly_k_pixels_of_a_constant_map_go():
    """grad-cam's percentile would take them all."""
    batch = images_batch(1, (20, 20), images=2)
    batch.targets.zero_()
    batch.images[:] = 0
    weights = torch.ones(1, 20, 20)
    squares = Road((0.25,), noise=1.0).score(linear_model(weights), batch, torch.zeros(2, 20, 20))
    assert squares.curves["road"].x.tolist() == [[0.25], [0.25]]
    # A sum of k independent normal numbers has variance k.
    assert squares.values["road"].abs().max() < 4 * math.sqrt(100)


def test_its_protocol_direction_and_validation():
    said = "road[imputation=linear,levels=(0.5,),measure=score,noise=0.01,order=morf,score=prob"
    assert Road((0.5,)).protocol("road", "slic") == f"{said},ties=seeded]"
    assert "score=" not in Road(measure="accuracy").protocol("road", "slic").replace("measure", "")
    assert (Road().direction("road"), Road(order="lerf").direction("road")) == (False, True)
    assert Road(space="logit").bounds == (-math.inf, math.inf)
    for levels in ((), (0.5, 0.2), (0.2, 0.2)):
        with pytest.raises(UserError, match="must rise, and be at least one"):
            Road(levels).validate()
    assert np.isclose(sum(Road().levels), 4.5)
