"""A drafted config says what was recognised, in few lines, and is read as it was meant."""

from __future__ import annotations

import pytest
import yaml

from xaibench.config.draft import draft, slug
from xaibench.imaging.recognition.guess import Guess

ODD = (
    "no",
    "1",
    "1e-4",
    "a: b",
    "x, y",
    "{z}",
    "[q]",
    "#c",
    "'",
    '"',
    "é",
    "null",
    "- d",
    "p(\\d+)_",
)


@pytest.mark.parametrize("word", ODD)
def test_odd_words_stay_what_they_are(word):
    settings = {"use": "image_table", "root": word, "label": word, "labels": [word, "b"]}
    found = yaml.safe_load(draft("own", Guess(dict(settings))))
    assert found["dataset"] == {**settings, "resize": {"size": 96}}
    assert yaml.safe_load(draft(slug(word), Guess(settings)))["name"] in (slug(word), "mine")


@pytest.mark.parametrize("labels", [2, 14, 300])
def test_it_has_twelve_lines_at_most(labels):
    settings = {
        "use": "image_table",
        "labels": [f"a long label's name {at}" for at in range(labels)],
    }
    settings |= {f"parameter_{at}": "value " * 8 for at in range(12)}
    text = draft("own", Guess(settings))
    assert text.count("\n") <= 12
    assert text.endswith("\n")
    assert yaml.safe_load(text)["dataset"].items() >= settings.items()


def test_numbers_and_evidence_bring_what_they_need():
    plain = yaml.safe_load(draft("own", Guess({"use": "arrays"})))
    assert "resize" not in plain["dataset"]
    assert "monitor" not in plain["training"]
    assert [*plain["metrics"]] == ["deletion", "insertion"]
    numbers = yaml.safe_load(draft("own", Guess({"use": "arrays"}, regression=True)))
    assert numbers["training"]["monitor"] == "loss"
    masked = yaml.safe_load(draft("own", Guess({"use": "arrays", "masks": "m"})))
    assert [*masked["metrics"]][2:] == ["pointing_game", "mass_accuracy"]


@pytest.mark.parametrize(
    ("name", "made"),
    [("my set (2)", "my_set_2_"), ("_x", "x"), ("éé", "mine"), ("a" * 99, "a" * 64)],
)
def test_a_name_is_made_of_any(name, made):
    assert slug(name) == made
