"""Tokens and channels-last outputs as maps: every layout, and what is refused."""

from __future__ import annotations

import pytest
import torch

from xaibench.checks.stage import toy_model
from xaibench.errors import UserError
from xaibench.networks.tokens import NoMapError, TokenGrid

GRID = TokenGrid(grids=((2, 3), (1, 2)), prefix_tokens=2)


@pytest.mark.parametrize("prefix", [0, 2])
def test_tokens_are_read_row_by_row_without_those_before_them(prefix):
    output = torch.rand(4, prefix + 6, 5)
    maps = GRID.maps(output)
    assert maps.shape == (4, 5, 2, 3)
    for image in range(4):
        for row in range(2):
            for column in range(3):
                token = output[image, prefix + 3 * row + column]
                assert torch.equal(maps[image, :, row, column], token)


def test_a_pyramid_has_a_grid_for_each_resolution():
    assert GRID.maps(torch.rand(1, 2, 5)).shape == (1, 5, 1, 2)


@pytest.mark.parametrize("channels_last", [False, True])
def test_maps_that_fit_a_grid_in_one_order_are_read_in_that_order(channels_last):
    grid = TokenGrid(grids=((2, 3),), channels_last=channels_last)
    maps = torch.rand(1, 5, 2, 3)
    assert torch.equal(grid.maps(maps), maps)
    assert torch.equal(grid.maps(maps.permute(0, 2, 3, 1)), maps)


@pytest.mark.parametrize("channels_last", [False, True])
def test_maps_that_fit_no_grid_are_read_as_the_network_says(channels_last):
    maps = TokenGrid(channels_last=channels_last).maps(torch.rand(1, 4, 5, 6))
    assert maps.shape == ((1, 6, 4, 5) if channels_last else (1, 4, 5, 6))


def test_gradients_pass():
    output = torch.rand(1, 8, 5, requires_grad=True)
    GRID.maps(output)[0, 4, 1, 2].backward()
    assert output.grad.nonzero().tolist() == [[0, 7, 4]]


@pytest.mark.parametrize(
    ("output", "why"),
    [
        ((torch.rand(1, 8, 5),), "gives tuple, not one tensor"),
        (torch.rand(1, 5), r"gives \(1, 5\), which is no map"),
        (torch.rand(1, 7, 5), r"7 tokens are no grid of the network \(2 x 3 or 1 x 2, with 2"),
    ],
)
def test_what_is_no_map_says_why(output, why):
    with pytest.raises(NoMapError, match=why):
        GRID.maps(output)


def test_a_classifier_of_maps_takes_them_as_they_are():
    maps = torch.rand(2, 3, 4, 5)
    assert torch.equal(toy_model().feature_maps(maps), maps)
    with pytest.raises(UserError, match=r"the layer gives \(2, 6, 4\).*none known.*set `layer`"):
        toy_model().feature_maps(torch.rand(2, 6, 4))
