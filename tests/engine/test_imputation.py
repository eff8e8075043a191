"""Linear imputation: dense and sparse exact solutions, peers, and what equations leave open."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from pytorch_grad_cam.metrics.road import NoisyLinearImputer
from quantus.functions.perturb_func import noisy_linear_imputation
from scipy.sparse import lil_matrix
from scipy.sparse.linalg import spsolve

from xaibench.engine import impute


def literal(image: np.ndarray, missing: np.ndarray) -> np.ndarray:
    """Rong et al. 2022: one equation a missing pixel, solved exactly by a sparse factorisation."""
    channels, height, width = image.shape
    number = {tuple(p): k for k, p in enumerate(np.argwhere(missing))}
    matrix, right = lil_matrix((len(number), len(number))), np.zeros((len(number), channels))
    for (y, x), k in number.items():
        for dy in (-1, 0, 1):
            for dx in (-1, 0, 1):
                at = (y + dy, x + dx)
                if (dy, dx) == (0, 0) or not (0 <= at[0] < height and 0 <= at[1] < width):
                    continue
                weight = 1 / 12 if dy and dx else 1 / 6
                matrix[k, k] += weight
                if at in number:
                    matrix[k, number[at]] -= weight
                else:
                    right[k] += weight * image[:, at[0], at[1]]
    filled = image.copy()
    if number:
        solved = spsolve(matrix.tocsc(), right).reshape(len(number), channels)
        for (y, x), k in number.items():
            filled[:, y, x] = solved[k]
    return filled


def case(size, share, kind, channels=3):
    generator = torch.Generator().manual_seed(size[0] * 100 + size[1])
    image = torch.rand(1, channels, *size, generator=generator)
    order = torch.rand(size, generator=generator)
    if kind == "blob":
        coarse = torch.rand(1, 1, 4, 4, generator=generator)
        order = torch.nn.functional.interpolate(coarse, size, mode="bicubic")[0, 0]
    missing = torch.zeros(size[0] * size[1], dtype=torch.bool)
    missing[order.flatten().argsort()[: round(share * missing.numel())]] = True
    return image, missing.view(1, *size)


CASES = [
    ((24, 24), 0.5, "pixels"), ((33, 47), 0.9, "pixels"), ((33, 47), 0.9, "blob"),
    ((40, 17), 0.1, "blob"), ((1, 30), 0.8, "pixels"), ((31, 2), 0.6, "pixels"),
]  # fmt: skip


@pytest.mark.parametrize(("size", "share", "kind"), CASES)
def test_equals_the_exact_sparse_solution(size, share, kind):
    image, missing = case(size, share, kind)
    filled = impute(image, missing, torch.zeros(1, 3))[0].numpy()
    exact = literal(image[0].double().numpy(), missing[0].numpy())
    assert np.abs(filled - exact).max() < 1e-6
    assert np.array_equal(filled[:, ~missing[0]], image[0].double().numpy()[:, ~missing[0]])


@pytest.mark.filterwarnings("ignore:__array_wrap__:DeprecationWarning")  # grad-cam's own
def test_equals_quantus_and_grad_cam():
    image, missing = case((33, 47), 0.7, "blob")
    filled = impute(image, missing, torch.zeros(1, 3))[0]
    theirs = noisy_linear_imputation(
        image[0].double().numpy(), np.flatnonzero(missing[0].numpy()), noise=0.0
    )
    assert np.abs(filled.numpy() - theirs).max() < 1e-6
    cam = NoisyLinearImputer(noise=0.0)(image[0], (~missing[0]).float())
    assert (filled - cam).abs().max() < 1e-6


def test_images_of_a_batch_are_what_they_are_alone():
    cases = [case((20, 26), share, "blob") for share in (0.2, 0.95, 0.6)]
    nothing, everything = torch.zeros(1, 20, 26).bool(), torch.ones(1, 20, 26).bool()
    images = torch.cat([image for image, _ in cases] + [cases[0][0], cases[1][0]])
    missing = torch.cat([gone for _, gone in cases] + [nothing, everything])
    mean = torch.tensor([[0.1, 0.2, 0.3]]).expand(5, 3)
    together = impute(images, missing, mean)
    for i in range(5):
        alone = impute(images[i : i + 1], missing[i : i + 1], mean[:1])[0]
        assert (together[i] - alone).abs().max() < 1e-7
    assert torch.equal(together[3], images[3].double())
    expected = torch.tensor([0.1, 0.2, 0.3]).double()[:, None, None].expand(3, 20, 26)
    assert torch.allclose(together[4], expected, atol=1e-7)


def test_a_plane_is_continued_exactly_where_its_border_is_known():
    rows, columns = torch.meshgrid(torch.arange(19.0), torch.arange(23.0), indexing="ij")
    plane = (0.01 * rows + 0.02 * columns)[None, None]
    missing = torch.zeros(1, 19, 23, dtype=torch.bool)
    missing[:, 1:-1, 1:-1] = True
    assert (impute(plane, missing, torch.zeros(1, 1)) - plane).abs().max() < 1e-6


def test_a_hole_takes_few_iterations_however_large(monkeypatch):
    """Without the coarser grids conjugate gradients take some hundreds here."""
    import xaibench.engine.imputation as imputation

    cycles, cycle = [], imputation._cycle
    monkeypatch.setattr(
        imputation, "_cycle", lambda *a: (a[2] == 0 and cycles.append(1), cycle(*a))[1]
    )
    image = torch.rand(1, 1, 96, 96, generator=torch.Generator().manual_seed(0))
    missing = torch.ones(1, 96, 96, dtype=torch.bool)
    missing[:, :4, :4] = False
    impute(image, missing, torch.zeros(1, 1))
    assert 0 < len(cycles) <= 40
