"""Which images are explained, and for which target."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pandas as pd
import pytest

from xaibench.config.sections import ImageOptions
from xaibench.errors import UserError
from xaibench.randomness import image_seed
from xaibench.runs.selection import (
    groups_of,
    select,
    too_few,
    too_few_at_most,
    with_targets,
)
from xaibench.store.predictions import outcomes
from xaibench.types import Data, Split

CLASSES = ("normal", "tumour")
LABELS = ("nodule", "mass", "fluid")


def predictions(count: int = 40) -> pd.DataFrame:
    """Return a table as predictions have it; every fourth image is wrong."""
    label = np.arange(count) % 2
    wrong = np.arange(count) % 4 == 3
    p = np.linspace(0.5, 0.999, count)
    predicted = np.where(wrong, 1 - label, label)
    return pd.DataFrame(
        {
            "image": [f"i{i:02d}" for i in range(count)],
            "group": "g",
            "label": np.array(CLASSES)[label],
            "predicted": np.array(CLASSES)[predicted],
            "p_normal": np.where(predicted == 0, p, 1 - p),
            "p_tumour": np.where(predicted == 1, p, 1 - p),
        }
    )


def several_labels() -> pd.DataFrame:
    table = pd.DataFrame({"image": ["a", "b", "c"], "group": "g", "predicted": ["mass"] * 3})
    truth = {"nodule": [1, 0, 0], "mass": [1, 0, np.nan], "fluid": [0, 0, 1]}
    for i, name in enumerate(LABELS):
        table[f"label_{name}"] = truth[name]
        table[f"p_{name}"] = 0.1 * (i + 1) + np.array([0.0, 0.01, 0.02])
    return table


def chosen(seed: int = 0, items: pd.DataFrame | None = None, **options) -> pd.DataFrame:
    items = with_targets(predictions(), "predicted", CLASSES) if items is None else items
    return select(items, ImageOptions(**options), CLASSES, seed)


def test_the_predicted_class_is_explained():
    items = with_targets(predictions(), "predicted", CLASSES)
    assert (items["target"] == items["predicted"]).all()
    assert (items["p_target"] >= 0.5).all()


def test_the_true_class_is_explained():
    items = with_targets(predictions(), "label", CLASSES)
    assert (items["target"] == items["label"]).all()
    assert ((items["p_target"] > 0.5) == (items["label"] == items["predicted"]))[1:].all()


def test_one_class_is_explained_in_every_image():
    items = with_targets(predictions(), "tumour", CLASSES)
    assert set(items["target"]) == {"tumour"}
    assert items["p_target"].tolist() == items["p_tumour"].tolist()


def test_of_several_labels_each_positive_one_is_explained():
    items = with_targets(several_labels(), "label", LABELS)
    pairs = list(zip(items["image"], items["target"], strict=True))
    assert sorted(pairs) == [("a", "mass"), ("a", "nodule"), ("c", "fluid")]
    assert items["image"].tolist() == ["a", "a", "c"]
    assert items.set_index(["image", "target"])["p_target"].to_dict() == pytest.approx(
        {("a", "nodule"): 0.1, ("a", "mass"): 0.2, ("c", "fluid"): 0.32}
    )


def test_of_several_labels_the_highest_or_a_named_one_is_explained():
    assert with_targets(several_labels(), "predicted", LABELS)["target"].tolist() == ["mass"] * 3
    named = with_targets(several_labels(), "fluid", LABELS)
    assert named["p_target"].tolist() == pytest.approx([0.3, 0.31, 0.32])


def test_an_unknown_target_is_refused_with_the_nearest():
    with pytest.raises(UserError) as caught:
        with_targets(predictions(), "tumor", CLASSES)
    assert str(caught.value) == (
        "target: 'tumor' is no target; allowed: label, normal, predicted, tumour "
        "(did you mean 'tumour'?)"
    )


def test_all_images_are_chosen_by_default():
    assert chosen()["image"].tolist() == predictions()["image"].tolist()


def test_only_what_the_model_gets_right():
    rows = chosen(outcome="correct")
    assert len(rows) == 30
    assert (rows["label"] == rows["predicted"]).all()


def test_only_what_the_model_gets_wrong():
    rows = chosen(outcome="wrong")
    assert rows["image"].tolist() == [f"i{i:02d}" for i in range(3, 40, 4)]


def test_only_some_classes():
    rows = chosen(classes=("tumour",))
    assert len(rows) == 20
    assert set(rows["label"]) == {"tumour"}
    assert len(chosen(classes=("tumour",), outcome="correct")) == 10


def test_a_larger_draw_holds_a_smaller_one():
    draws = [set(chosen(count=count)["image"]) for count in (3, 4, 11, 40)]
    assert [len(draw) for draw in draws] == [3, 4, 11, 40]
    assert all(small < large for small, large in pairwise(draws))


def test_a_draw_follows_the_seed_and_keeps_the_order_of_the_split():
    assert chosen(count=10).equals(chosen(count=10))
    assert set(chosen(count=10)["image"]) != set(chosen(count=10, seed=1)["image"])
    assert chosen(count=10)["image"].is_monotonic_increasing


def test_a_draw_does_not_depend_on_the_order_of_the_candidates():
    items = with_targets(predictions(), "predicted", CLASSES)
    turned = chosen(items=items.iloc[::-1], count=10)
    assert set(turned["image"]) == set(chosen(count=10)["image"])


def test_more_is_asked_for_than_there_is():
    assert len(chosen(count=100)) == 40


def test_so_many_from_each_band_of_confidence():
    bands = ({"low": 0.5, "high": 0.7, "count": 5}, {"low": 0.9, "high": 1.01, "count": 3})
    scores = chosen(confidence=bands)["p_target"]
    assert len(scores) == 8
    assert ((scores >= 0.5) & (scores < 0.7)).sum() == 5
    assert (scores >= 0.9).sum() == 3


def test_an_image_in_two_bands_is_explained_once():
    bands = ({"low": 0.5, "high": 1, "count": 40}, {"low": 0, "high": 1, "count": 40})
    assert len(chosen(confidence=bands)) == 40


def test_a_band_holds_its_lower_end_only():
    items = with_targets(predictions(), "predicted", CLASSES).assign(p_target=0.5)
    assert len(chosen(items=items, confidence=({"low": 0.5, "high": 0.6, "count": 40},))) == 40
    with pytest.raises(UserError, match="none of the 40 candidates"):
        chosen(items=items, confidence=({"low": 0.4, "high": 0.5, "count": 40},))


@pytest.mark.parametrize(
    "options",
    [
        {"confidence": ({"low": 0.0, "high": 0.1, "count": 1},)},
        {"classes": ("normal",), "confidence": ({"low": 1.0, "high": 1.01, "count": 1},)},
    ],
)
def test_none_left_is_refused(options):
    with pytest.raises(UserError) as caught:
        chosen(**options)
    assert str(caught.value) == (
        "images: none of the 40 candidates of split 'test' is left by `outcome`, `classes` and "
        "`confidence`; loosen them"
    )


def test_an_unknown_class_is_refused_with_the_nearest():
    with pytest.raises(UserError) as caught:
        chosen(classes=("tumor",))
    assert str(caught.value) == (
        "images.classes: no class 'tumor'; allowed: normal, tumour (did you mean 'tumour'?)"
    )


def one_target(label: list[float], score: list[float]) -> pd.DataFrame:
    table = pd.DataFrame({"image": list("abcdefgh")[: len(label)], "group": "g"})
    return table.assign(predicted="mass", label_mass=label, p_mass=score, target="mass").assign(
        p_target=score
    )


def test_of_several_labels_the_explained_one_is_right_or_wrong():
    label, score = [1, 1, 0, 0, np.nan], [0.5, 0.49, 0.5, 0.49, 0.9]
    items = one_target(label, score)
    said = ["correct", "wrong", "wrong", "correct", "neither"]
    for outcome in ("correct", "wrong"):
        rows = select(items, ImageOptions(outcome=outcome), LABELS, 0)
        assert rows["image"].tolist() == [
            i for i, s in zip("abcde", said, strict=True) if s == outcome
        ]


def test_a_regression_is_right_within_a_half():
    label, score = [1, 1, 0, 0, 0.5, 0.5], [0.6, 1.7, 0.4, -0.6, 0.9, 1.01]
    assert outcomes(one_target(label, score)).tolist() == [True, False, True, False, True, False]


def test_other_labels_do_not_change_the_outcome():
    items = with_targets(several_labels(), "nodule", LABELS)
    others = items.assign(label_mass=1 - items["label_mass"], p_fluid=0.99, predicted="fluid")
    assert outcomes(items).tolist() == outcomes(others).tolist() == [False, True, True]


def test_of_several_labels_only_some_targets_that_are_there():
    items = with_targets(several_labels(), "label", LABELS)
    rows = select(items, ImageOptions(classes=("mass", "fluid")), LABELS, 0)
    assert list(zip(rows["image"], rows["target"], strict=True)) == [("a", "mass"), ("c", "fluid")]
    named = with_targets(several_labels(), "mass", LABELS)
    assert select(named, ImageOptions(classes=("mass",)), LABELS, 0)["image"].tolist() == ["a"]


def test_targets_of_one_image_count_as_so_many():
    items = with_targets(several_labels(), "label", LABELS)
    assert len(select(items, ImageOptions(), LABELS, 0)) == 3


def test_of_several_labels_as_many_items_are_drawn_as_were_asked_for():
    items = with_targets(several_labels(), "label", LABELS)
    assert items["image"].tolist() == ["a", "a", "c"]
    for count in (1, 2, 3):
        drawn = select(items, ImageOptions(count=count), LABELS, 0)
        assert len(drawn) == count
        assert not drawn.duplicated(["image", "target"]).any()


# ------------------------------------------------------------------------------- groups


def grouped(sizes: dict[str, int]) -> pd.DataFrame:
    """Return items of so many images a group, the groups mixed."""
    rows = predictions(sum(sizes.values()))
    names = [name for name, size in sizes.items() for _ in range(size)]
    rows["group"] = np.random.default_rng(0).permutation(names)
    return with_targets(rows, "predicted", CLASSES)


def twin_draw(items: pd.DataFrame, count: int, seed: int) -> set[str]:
    """Deal the images out one by one: each group gives its next in turn."""
    lots = {row.image: image_seed(seed, f"select/{row.image}") for row in items.itertuples()}
    piles: dict[str, list[str]] = {}
    for row in items.itertuples():
        piles.setdefault(row.group, []).append(row.image)
    piles = {group: sorted(pile, key=lots.get) for group, pile in piles.items()}
    turns = sorted(piles, key=lambda group: lots[piles[group][0]])
    drawn: list[str] = []
    while any(piles.values()):
        for group in turns:
            if piles[group]:
                drawn.append(piles[group].pop(0))
    return set(drawn[:count])


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("count", [1, 4, 5, 6, 9, 17, 40])
def test_a_draw_deals_out_the_groups_in_turn(count, seed):
    items = grouped({"a": 25, "b": 9, "c": 3, "d": 2, "e": 1})
    rows = chosen(seed, items, count=count)
    assert set(rows["image"]) == twin_draw(items, count, seed)
    assert rows["group"].nunique() == min(count, 5)


def test_a_larger_draw_of_groups_holds_a_smaller_one():
    items = grouped({"a": 25, "b": 9, "c": 3, "d": 2, "e": 1})
    draws = [set(chosen(items=items, count=count)["image"]) for count in range(1, 41)]
    assert all(small < large for small, large in pairwise(draws))


def test_an_image_without_a_group_is_one_of_its_own():
    items = grouped({"a": 38, "b": 2})
    items.loc[items["group"] == "b", "group"] = None
    assert groups_of(items).nunique() == 3
    assert groups_of(chosen(items=items, count=3)).nunique() == 3


def test_a_band_is_spread_over_the_groups_too():
    items = grouped({"a": 25, "b": 9, "c": 6})
    rows = chosen(items=items, confidence=({"low": 0.5, "high": 1.01, "count": 3},))
    assert set(rows["group"]) == {"a", "b", "c"}


def test_targets_of_one_image_share_its_group():
    items = with_targets(several_labels().assign(group=["g", "g", "h"]), "label", LABELS)
    rows = select(items, ImageOptions(count=2), LABELS, 0)
    assert set(rows["image"]) == {"a", "c"}


def test_so_few_groups_that_nothing_is_tested_are_said_to_be_so():
    assert too_few(6) is None
    assert too_few(4) == (
        "images: only 4 groups: too few to test (6 are needed); nothing will be marked"
    )
    assert too_few(1).startswith("images: only 1 group: ")


@pytest.mark.parametrize(
    ("groups", "options", "said"),
    [
        (5, {}, 5),
        (6, {}, None),
        (9, {"count": 4}, 4),
        (9, {"count": 6}, None),
        (9, {"confidence": ({"low": 0, "high": 1, "count": 3},)}, 3),
        (9, {"confidence": ({"low": 0, "high": 1, "count": 3},) * 2}, None),
    ],
)
def test_too_few_groups_are_known_before_any_model(groups, options, said):
    class Images(Split):
        ids = labels = np.arange(20)

        def images(self, indices):
            raise AssertionError("no image is needed")

    split = Images()
    split.groups = np.arange(20) % groups
    data = Data("toy", "binary", CLASSES, 1, (8, 8), {"test": split}, "")
    told = too_few_at_most(ImageOptions(**options), data)
    assert told == (said and too_few(said))
