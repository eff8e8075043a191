"""A protocol id is read as it was written."""

from __future__ import annotations

import pytest

from xaibench.leaderboards.protocols import Protocol
from xaibench.metrics.deletion import Deletion


def test_commas_in_brackets_part_nothing():
    text = "deletion@x[fill=blur(11,5),order=lerf,score=prob,steps=100]"
    found = Protocol.parse(text)
    assert found.name == "deletion@x"
    assert found.parameters == {
        "fill": "blur(11,5)",
        "order": "lerf",
        "score": "prob",
        "steps": "100",
    }


def test_lists_and_texts_with_commas_stay_whole():
    found = Protocol.parse("mine[at=(1, 2),grid=[3,4],note=a,b,z=x=y]")
    assert found.parameters == {"at": "(1, 2)", "grid": "[3,4]", "note": "a,b", "z": "x=y"}


@pytest.mark.parametrize("text", ["auroc", "auroc[]", "odd[fill=black"])
def test_what_says_no_parameters_has_none(text):
    found = Protocol.parse(text)
    assert found == Protocol(text.removesuffix("[]"), {})


def test_a_metrics_own_id_comes_back():
    metric = Deletion(fill="blur(11,5)", steps=7)
    found = Protocol.parse(metric.protocol("deletion", ""))
    assert found.name == "deletion"
    assert (found.value("fill"), found.value("steps")) == ("blur(11,5)", "7")
    assert found.value("ties") == "seeded"


def test_what_two_differ_in():
    one = Protocol.parse("deletion[fill=black,score=prob]")
    assert one.differs_in(one) == set()
    assert one.differs_in(Protocol.parse("deletion[fill=blur(1,2),score=prob]")) == {"fill"}
    assert one.differs_in(Protocol.parse("deletion[fill=black]")) == {"score"}


def test_an_order_that_is_not_said_is_morf():
    one = Protocol.parse("deletion[fill=black]")
    assert one.value("order") == "morf"
    assert one.differs_in(Protocol.parse("deletion[fill=black,order=morf]")) == set()
    assert one.differs_in(Protocol.parse("deletion[fill=black,order=lerf]")) == {"order"}
