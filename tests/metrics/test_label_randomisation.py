"""Label randomisation: likeness to the twin's maps, and to maps that have nothing in common."""

from __future__ import annotations

import pytest
import torch
from scipy.stats import spearmanr

from xaibench.checks.stage import toy_batch, toy_model
from xaibench.engine.likeness import LIKENESSES, likenesses, unrelated_maps
from xaibench.errors import UserError
from xaibench.metrics.label_randomisation import LabelRandomisation

METRIC = LabelRandomisation()


@pytest.fixture
def maps() -> torch.Tensor:
    return torch.randn(5, 32, 32, generator=torch.Generator().manual_seed(3))


def scores(maps, remake):
    model, twin = toy_model(), toy_model(seed=1)
    others = METRIC.others(model, twin, seed=0)
    return METRIC.compare(model, others, toy_batch(), maps, remake)


def test_compares_with_the_maps_of_the_twin_alone(maps):
    asked = []
    twin = 0.5 * maps + maps.flip(0)
    values = scores(maps, lambda model, batch: asked.append((model, batch)) or twin).values
    ((model, batch),) = asked
    wanted = toy_model(seed=1).state_dict()
    assert all(torch.equal(v, wanted[k]) for k, v in model.state_dict().items())
    assert batch.ids == toy_batch().ids
    (like,) = likenesses(maps, [twin])
    for how in LIKENESSES:
        assert torch.equal(values[f"label_randomisation@{how}"], like[how])
    literal = [spearmanr(a.ravel(), b.ravel()).statistic for a, b in zip(maps, twin, strict=True)]
    assert values["label_randomisation@spearman"].tolist() == pytest.approx(literal, abs=1e-10)


def test_a_map_that_stays_the_same_scores_one_and_its_control_what_noise_scores(maps):
    values = scores(maps, lambda *_: maps.clone()).values
    (noise,) = likenesses(maps, [unrelated_maps(maps, toy_batch().seeds)])
    for how in LIKENESSES:
        assert values[f"label_randomisation@{how}"].numpy() == pytest.approx(1.0, abs=1e-9)
        assert torch.equal(values[f"label_randomisation@{how}_control"], noise[how])
        assert noise[how].abs().max() < 0.2


def test_constant_maps_are_undefined_and_have_a_control_only_if_the_twins_are(maps):
    twin = maps.flip(0).clone()
    twin[3] = 0.0
    maps[1] = 1.0
    found = scores(maps, lambda *_: twin)
    for how in LIKENESSES:
        name = f"label_randomisation@{how}"
        assert found.values[name].isnan().tolist() == [False, True, False, True, False]
        assert found.values[f"{name}_control"].isnan().tolist() == [i == 1 for i in range(5)]
        assert {found.undefined[name], found.undefined[f"{name}_control"]} == {
            "one of the two maps is constant or not finite"
        }


def test_its_names_directions_and_ids():
    names = METRIC.value_names(())
    assert names[0] == "label_randomisation@spearman"
    assert {n: METRIC.direction(n) for n in names} == {
        f"label_randomisation@{how}{end}": direction
        for end, direction in (("", False), ("_control", None))
        for how in ("spearman", "spearman_abs", "ssim")
    }
    said = "label_randomisation@ssim[twin=permuted_labels]"
    assert METRIC.protocol("label_randomisation@ssim", "slic") == said
    assert METRIC.needs_twin


def test_images_smaller_than_a_window_are_refused():
    METRIC.check((7, 7))
    with pytest.raises(UserError, match="images of 6x30 are smaller than its 7 pixels"):
        METRIC.check((6, 30))
