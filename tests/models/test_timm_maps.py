"""Which layer of timm's families gives the last map, and how its tokens are read."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from xaibench.errors import UserError
from xaibench.models.timm import Timm

# architecture -> default layer, its map for images of 64 x 96, tokens before those of the patches
FAMILIES = {
    "vit_tiny_patch16_224": ("blocks.11.norm1", (192, 4, 6), 1),
    "deit_tiny_patch16_224": ("blocks.11.norm1", (192, 4, 6), 1),
    "deit_tiny_distilled_patch16_224": ("blocks.11.norm1", (192, 4, 6), 2),
    "test_vit4": ("blocks.8", (96, 4, 6), 1),
    "eva02_tiny_patch14_224": ("blocks.11", (192, 4, 6), 1),
    "cait_xxs24_224": ("blocks.23", (192, 4, 6), 1),
    "swin_tiny_patch4_window7_224": ("norm", (768, 2, 3), 0),
    "swinv2_cr_tiny_ns_224": ("stages.3", (768, 2, 3), 0),
    "mobilevit_xxs": ("final_conv", (320, 2, 3), 0),
    "maxvit_rmlp_pico_rw_256": ("stages.3", (256, 2, 3), 0),
    "pvt_v2_b0": ("stages.3", (256, 2, 3), 0),
    "convnext_atto": ("stages.3", (320, 2, 3), 0),
    "gmlp_ti16_224": ("norm", (128, 4, 6), 0),
    "poolformer_s12": ("stages.3", (512, 2, 3), 0),
    "xcit_nano_12_p16_224": ("cls_attn_blocks.0", (128, 4, 6), 1),
    "test_mambaout": ("stages.3", (64, 2, 3), 0),
    "vit_tiny_r_s16_p8_224": ("blocks.11.norm1", (192, 2, 3), 1),
    "pit_ti_224": ("transformers.2.blocks.3.norm1", (256, 2, 3), 1),
    "visformer_tiny": ("norm", (384, 2, 3), 0),
    "resnet10t": ("layer4", (512, 2, 3), 0),
}
LARGER = {
    "beit_base_patch16_224": ("blocks.11", (768, 4, 6), 1),
    "vit_small_patch16_dinov3": ("norm", (384, 4, 6), 5),
    "swinv2_tiny_window8_256": ("norm", (768, 2, 3), 0),
    "hiera_tiny_224": ("blocks.11", (768, 2, 3), 0),
    "mixer_s32_224": ("norm", (512, 2, 3), 0),
    "twins_svt_small": ("norm", (512, 2, 3), 0),
    "volo_d1_224": ("post_network.1.norm1", (384, 4, 6), 1),
    "sequencer2d_s": ("norm", (384, 4, 6), 0),
    "focalnet_tiny_srf": ("layers.3", (768, 2, 3), 0),
    "davit_tiny": ("stages.3", (768, 2, 3), 0),
    "vit_relpos_small_patch16_224": ("blocks.11", (384, 4, 6), 0),
    "samvit_base_patch16": ("neck", (256, 4, 6), 0),
}


def build(architecture, size=(64, 96), channels=3):
    torch.manual_seed(0)
    return Timm(architecture, weights="none").build(
        task="binary", classes=("a", "b"), channels=channels, size=size
    )


@pytest.mark.parametrize(
    ("architecture", "layer", "shape", "prefix"),
    [(name, *facts) for name, facts in FAMILIES.items()]
    + [pytest.param(n, *facts, marks=pytest.mark.slow) for n, facts in LARGER.items()],
)
def test_the_last_map_of_a_family(architecture, layer, shape, prefix):
    model = build(architecture, (56, 84) if "patch14" in architecture else (64, 96))
    assert (model.cam_layer, model.tokens.prefix_tokens) == (layer, prefix)
    assert model.check_feature_maps(layer) == shape
    assert (model.passes.forward, model.passes.backward) == (0, 0)
    assert all(module.training for module in model.modules())
    assert not any(module._forward_hooks for module in model.modules())


@pytest.mark.parametrize(
    ("size", "nearest"), [((33, 47), "32x48"), ((32, 40), "32x32"), ((8, 16), "16x16")]
)
def test_a_size_that_leaves_pixels_unseen_is_refused(size, nearest):
    with pytest.raises(UserError, match=rf"patches of 16x16, and .* such as to {nearest}"):
        build("test_vit", size)


@pytest.mark.parametrize("size", [(33, 47), (46, 34)])
@pytest.mark.parametrize("architecture", ["test_convnext", "test_mambaout", "mobilevit_xxs"])
def test_families_that_take_any_size_take_odd_ones(architecture, size):
    model = build(architecture, size)
    assert len(model.check_feature_maps(model.cam_layer)) == 3


def test_a_size_that_the_network_cannot_take_is_refused():
    with pytest.raises(UserError, match=r"convit_tiny does not take images of 64x96 \(The exp"):
        build("convit_tiny")
    with pytest.raises(UserError, match=r"nest_tiny with .*img_size = \(64, 96\): Model only"):
        build("nest_tiny")


def test_it_is_built_the_same_where_no_gradients_are_taken():
    with torch.no_grad():
        assert build("test_vit").cam_layer == "blocks.5.norm1"


def test_a_patchs_token_stands_where_the_patch_is():
    """Only the token whose patch changes differs in the patch embedding's map."""
    model = build("test_vit").eval()
    plain = torch.zeros(1, 3, 64, 96)
    changed = plain.clone()
    changed[:, :, 16:32, 64:80] = 1
    given = []
    model.net.patch_embed.register_forward_hook(lambda *call: given.append(call[2]))
    with torch.no_grad():
        model(plain), model(changed)
    difference = (model.feature_maps(given[0]) - model.feature_maps(given[1])).abs().sum(1)[0]
    assert difference.nonzero().tolist() == [[1, 4]]


def test_a_fresh_head_of_zeros_does_not_hide_the_layer():
    """timm draws gMLP's heads as zeros: the gradient of the outputs would be zero everywhere."""
    model = build("gmlp_ti16_224")
    assert not model.net.head.weight.any()
    assert isinstance(model.net.norm, nn.LayerNorm)
    assert model.cam_layer == "norm"
