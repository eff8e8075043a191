"""What a mistyped name is told."""

from __future__ import annotations

import pytest

from xaibench.errors import UserError, did_you_mean, nearest

FRUIT = ["apple", "banana", "cherry"]
MANY = [f"plugin_{number:02}" for number in range(13)]


def test_a_few_names_are_all_said():
    assert did_you_mean("bannana", FRUIT) == (
        "; allowed: apple, banana, cherry (did you mean 'banana'?)"
    )
    assert did_you_mean("zzz", reversed(FRUIT)) == "; allowed: apple, banana, cherry"
    assert did_you_mean("x", []) == "; allowed: nothing"


def test_of_many_names_the_nearest_come_first_and_a_command_shows_the_rest():
    assert did_you_mean("plugin_7", MANY, "xaibench list").startswith(
        " (did you mean 'plugin_07', "
    )
    assert did_you_mean("zzz", MANY, "xaibench list") == "; `xaibench list` shows the 13 there are"


@pytest.mark.parametrize(
    ("names", "shown_by"), [(MANY[:12], "xaibench list"), (MANY, "")], ids=["few", "no command"]
)
def test_a_short_list_or_one_that_nothing_shows_is_said_whole(names, shown_by):
    assert did_you_mean("zzz", names, shown_by) == f"; allowed: {', '.join(names)}"


@pytest.mark.parametrize(
    ("got", "count", "said"),
    [
        ("aple", 1, " (did you mean 'apple'?)"),
        ("aple", 2, " (did you mean 'apple'?)"),  # the others are not alike
        ("zzz", 3, ""),
        ("", 1, ""),
    ],
)
def test_the_nearest_are_those_that_are_alike(got, count, said):
    assert nearest(got, FRUIT, count) == said


def test_several_are_listed_best_first():
    assert nearest("ab", ["abc", "ab_", "abcd"], 3) == " (did you mean 'ab_', 'abc' or 'abcd'?)"
    assert nearest("ab", ["abc", "abcd"], 2) == " (did you mean 'abc' or 'abcd'?)"


def test_the_last_part_of_a_name_counts_but_the_whole_name_counts_more():
    assert nearest("saliency", ["captum.saliency", "captum.occlusion"]) == (
        " (did you mean 'captum.saliency'?)"
    )
    assert nearest("lime", ["captum.lime", "lime"]) == " (did you mean 'lime'?)"


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ("two\nlines", "two lines"),
        ("a\x85b\u2028c", r"a\x85b\u2028c"),
        ("\x1b[31mred", r"\x1b[31mred"),
        ("\ud800", r"\ud800"),
        (" für \n", "für"),
    ],
)
def test_a_users_error_is_one_line_whatever_it_names(given, told):
    assert str(UserError(given)) == told
