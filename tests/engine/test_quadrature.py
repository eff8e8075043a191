"""Rules for the integral of a path: exact polynomials, captum's points, literal apportionment."""

from __future__ import annotations

import math
from fractions import Fraction

import pytest
import torch
from captum.attr._utils.approximation_methods import approximation_parameters

from xaibench.engine.quadrature import apportioned, points_by_part, quadrature

DEGREE = {
    "gausslegendre": lambda steps: 2 * steps - 1,
    "riemann_middle": lambda steps: 1,
    "trapezoid": lambda steps: 1,
    "riemann_left": lambda steps: 0,
    "riemann_right": lambda steps: 0,
}


@pytest.mark.parametrize("steps", [2, 3, 8])
@pytest.mark.parametrize("rule", DEGREE)
def test_polynomials_are_exact_up_to_the_degree_and_no_further(rule, steps):
    points, weights = quadrature(rule, steps)
    error = lambda power: abs(float((weights * points**power).sum()) - 1 / (power + 1))
    degree = DEGREE[rule](steps)
    assert all(error(power) < 1e-12 for power in range(degree + 1))
    assert error(degree + 1) > 1e-12


@pytest.mark.parametrize(
    "rule", ["gausslegendre", "riemann_left", "riemann_middle", "riemann_right"]
)
def test_points_and_weights_are_captums(rule):
    sizes, alphas = approximation_parameters(rule)
    points, weights = quadrature(rule, 7)
    assert points.tolist() == pytest.approx(list(alphas(7)), abs=1e-7)  # captum's are float32
    assert weights.tolist() == pytest.approx(list(sizes(7)), abs=1e-12)


def _literal(changes: list[float], steps: int) -> list[int]:
    """Largest remainders in exact fractions, part by part."""
    parts, total = len(changes), sum(map(Fraction, changes))
    quotas = [
        (Fraction(change) / total if total else Fraction(1, parts)) * (steps - parts)
        for change in changes
    ]
    counts = [1 + math.floor(quota) for quota in quotas]
    by_remainder = sorted(range(parts), key=lambda i: (math.floor(quotas[i]) - quotas[i], i))
    for part in by_remainder[: steps - sum(counts)]:
        counts[part] += 1
    return counts


@pytest.mark.parametrize("steps", [4, 5, 17, 50])
def test_steps_are_apportioned_as_by_hand(steps):
    rows = [
        [1.0, 1.0, 1.0, 1.0],
        [0.0, 0.0, 0.0, 0.0],
        [0.0, 8.0, 0.0, 0.0],
        [0.5, 0.25, 0.125, 0.75],
        [3.0, 0.0, 1.0, 2.0],
    ]
    counts = apportioned(torch.tensor(rows), steps)
    assert counts.tolist() == [_literal(row, steps) for row in rows]
    assert (counts.sum(1) == steps).all()


def test_points_of_parts_are_the_middles_of_their_steps():
    counts = torch.tensor([[2, 1, 3], [1, 4, 1]])
    points, weights = points_by_part(counts, 6)
    third = 1 / 3
    for row, (found, lengths) in enumerate(zip(points, weights, strict=True)):
        wanted = [
            (part + (step + 0.5) / own) * third
            for part, own in enumerate(counts[row].tolist())
            for step in range(own)
        ]
        assert found.tolist() == pytest.approx(wanted, abs=1e-12)
        owns = [own for own in counts[row].tolist() for _ in range(own)]
        assert lengths.tolist() == pytest.approx([third / own for own in owns], abs=1e-12)
    assert weights.sum(1).tolist() == pytest.approx([1.0, 1.0], abs=1e-12)
