"""SmoothGrad and VarGrad: literal loops, captum's NoiseTunnel on the same noise, linear models."""

from __future__ import annotations

import pytest
import torch
from captum.attr import NoiseTunnel, Saliency
from toy_images import (
    ODD,
    assert_costs_what_it_says,
    assert_exact_on_linear,
    assert_sound,
    sized_batch,
)

from xaibench.checks.stage import toy_batch, toy_model
from xaibench.engine.noise import noisy_copies
from xaibench.explainers.smooth_grad import SmoothGrad
from xaibench.explainers.var_grad import VarGrad

SAMPLES = 7
ALL = [SmoothGrad(SAMPLES), SmoothGrad(SAMPLES, 0.3, "square"), VarGrad(SAMPLES)]


def noisy(batch, i, share):
    """The copies of one image."""
    copy = noisy_copies(batch.images, batch.seeds, share)
    return torch.cat([copy(torch.tensor([i]), torch.tensor([k])) for k in range(SAMPLES)])


def gradients(model, images, target, space):
    """The gradient of each copy, one after the other."""
    found = []
    for image in images:
        at = image[None].clone().requires_grad_()
        model.score(at, target[None], space).backward()
        found.append(at.grad[0].double())
    return torch.stack(found)


@pytest.mark.parametrize("head", ["softmax", "single_logit", "multilabel", "regression"])
@pytest.mark.parametrize("space", ["logit", "prob"])
def test_equal_loops_over_copies(head, space):
    model, batch = toy_model(head), toy_batch(images=2)
    model.batch_size = 3  # an image's copies are spread over batches
    smooth = {
        m: SmoothGrad(SAMPLES, 0.2, m, space)(model, batch).maps
        for m in ("abs", "square", "signed")
    }
    varied = VarGrad(SAMPLES, 0.2, space)(model, batch).maps
    for i in range(2):
        g = gradients(model, noisy(batch, i, 0.2), batch.targets[i], space)
        scale = float(g.abs().max())
        assert smooth["abs"][i] == pytest.approx(g.mean(0).abs().mean(0), abs=1e-5 * scale)
        assert smooth["signed"][i] == pytest.approx(g.mean(0).sum(0), abs=1e-5 * scale)
        assert smooth["square"][i] == pytest.approx(g.square().mean(0).mean(0), abs=1e-5 * scale**2)
        variance = g.var(0, correction=0).mean(0)
        assert varied[i] == pytest.approx(variance, abs=1e-5 * scale**2)


class Given(NoiseTunnel):
    """captum's tunnel with our noise in the place of its own."""

    def _add_noise_to_inputs(self, samples, inputs, stdevs):
        return (self.copies.clone().requires_grad_(),)


@pytest.mark.parametrize("kind", ["smoothgrad", "smoothgrad_sq", "vargrad"])
def test_equal_captum_on_the_same_noise(kind):
    model, batch = toy_model(), toy_batch(images=2)
    ours = {
        "smoothgrad": SmoothGrad(SAMPLES, magnitude="signed"),
        "smoothgrad_sq": SmoothGrad(SAMPLES, magnitude="square"),
        "vargrad": VarGrad(SAMPLES),
    }[kind]
    maps = ours(model, batch).maps
    for i in range(2):
        tunnel = Given(Saliency(lambda x, t: model.score(x, t, "logit")))
        tunnel.copies = noisy(batch, i, 0.15)
        peer = tunnel.attribute(
            batch.images[i : i + 1],
            nt_type=kind,
            nt_samples=SAMPLES,
            additional_forward_args=(batch.targets[i : i + 1],),
            abs=False,
        )[0].detach()
        peer = peer.sum(0) if kind == "smoothgrad" else peer.abs().mean(0)
        assert maps[i] == pytest.approx(peer, abs=1e-5 * float(peer.abs().max()))


@pytest.mark.parametrize("magnitude", ["abs", "square", "signed"])
def test_smooth_grad_of_a_linear_model_is_its_weights(magnitude):
    assert_exact_on_linear(SmoothGrad(SAMPLES, magnitude=magnitude), sized_batch(ODD))


def test_var_grad_of_a_linear_model_is_nothing():
    assert_exact_on_linear(VarGrad(SAMPLES), sized_batch(ODD))


def test_noise_is_standard_normal_times_a_share_of_the_range():
    """Mean 0, deviation sigma and fourth moment 3 sigma^4, within 4 standard errors; of each image
    its own range, and each copy another draw."""
    batch = toy_batch(images=2)
    batch.images[0] *= 0.25
    for i, image in enumerate(batch.images):
        sigma = 0.15 * float(image.max() - image.min())
        drawn = ((noisy(batch, i, 0.15) - image) / sigma).double().flatten(1)
        count = drawn.numel()
        assert abs(drawn.mean()) < 4 / count**0.5
        assert abs(drawn.square().mean() - 1) < 4 * (2 / count) ** 0.5
        assert abs((drawn**4).mean() - 3) < 4 * (96 / count) ** 0.5
        correlations = torch.corrcoef(drawn) - torch.eye(SAMPLES)
        assert correlations.abs().max() < 4.5 / drawn.shape[1] ** 0.5


def test_a_constant_image_gets_the_plain_gradient():
    model, batch = toy_model(), toy_batch(images=1)
    batch.images.fill_(0.3)
    maps = SmoothGrad(SAMPLES, magnitude="signed")(model, batch).maps
    (plain,) = gradients(model, batch.images, batch.targets[0], "logit")
    assert maps[0] == pytest.approx(plain.sum(0), abs=1e-6 * float(plain.abs().max()))


@pytest.mark.parametrize("explainer", ALL)
def test_costs_a_pass_each_way_a_copy(explainer):
    assert_costs_what_it_says(explainer, toy_model(), toy_batch(images=3))


@pytest.mark.parametrize("explainer", ALL)
def test_sound(explainer):
    assert_sound(explainer)
