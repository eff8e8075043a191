"""SGD with Nesterov momentum against its literal twin; what is not an optimiser's."""

from __future__ import annotations

import pytest
import torch
from pydantic import ValidationError

from xaibench.training.optimizers import optimizer_for
from xaibench.training.options import TrainingOptions


@pytest.mark.parametrize("nesterov", [False, True])
def test_sgd_is_its_literal_twin(nesterov: bool) -> None:
    options = TrainingOptions(
        optimizer="sgd", learning_rate=0.05, momentum=0.9, nesterov=nesterov, weight_decay=0.01
    )
    weight = torch.nn.Parameter(torch.tensor(2.0, dtype=torch.float64))
    optimizer = optimizer_for(options, [weight])
    w, velocity = 2.0, 0.0
    for _ in range(5):
        optimizer.zero_grad()
        (weight**2).backward()
        optimizer.step()
        gradient = 2 * w + 0.01 * w
        velocity = 0.9 * velocity + gradient
        w -= 0.05 * (gradient + 0.9 * velocity if nesterov else velocity)
        assert weight.item() == pytest.approx(w)


@pytest.mark.parametrize("optimizer", ["adamw", "sgd"])
def test_a_parameter_without_gradient_is_left_alone_and_joins_later(optimizer: str) -> None:
    options = TrainingOptions(optimizer=optimizer, learning_rate=0.1, weight_decay=0.1)
    early, late = (torch.nn.Parameter(torch.ones(2)) for _ in range(2))
    both = optimizer_for(options, [early, late])
    late.requires_grad_(False)
    for _ in range(3):
        both.zero_grad()
        ((early - late) ** 2 + early).sum().backward()
        both.step()
    assert torch.equal(late, torch.ones(2))
    assert not torch.equal(early, torch.ones(2))
    # From here on it is as with an optimiser of its own.
    late.requires_grad_(True)
    twin = torch.nn.Parameter(torch.ones(2))
    alone = optimizer_for(options, [twin])
    for _ in range(3):
        for each, parameter in ((both, late), (alone, twin)):
            each.zero_grad()
            (parameter**3).sum().backward()
            each.step()
    assert torch.equal(late, twin)


def test_the_options_choose_the_kind() -> None:
    weight = [torch.nn.Parameter(torch.zeros(1))]
    assert type(optimizer_for(TrainingOptions(), weight)) is torch.optim.AdamW
    for change in ({"nesterov": True}, {"nesterov": True, "optimizer": "sgd", "momentum": 0}):
        with pytest.raises(ValidationError, match="nesterov needs optimizer: sgd and a momentum"):
            TrainingOptions(**change)
