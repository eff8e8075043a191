"""What is measured: networks, image sizes and the parameters of every method on them."""

from __future__ import annotations

from dataclasses import dataclass, replace

from xaibench.types import Task


@dataclass(frozen=True)
class Size:
    """A network on images of one size, with how much of each method one repetition does.

    Attributes:
        outputs: classes, or labels.
        images: images of a repetition; ``lime_images`` and ``cam_images`` for those two methods,
            one of which is dear and the other cheap.
        steps: of deletion and insertion; divides the pixels, so that peers remove as many.
        flip_steps: of pixel flipping by Quantus, which flips single channels; the channels' values
            of a step must divide the pixels.
        window, stride: of square occlusion, in pixels.
        segments: superpixels asked of SLIC.
        samples: of LIME.
        path: points of Integrated Gradients.
    """

    name: str
    architecture: str
    channels: int
    pixels: int
    task: Task
    outputs: int
    single_logit: bool = False
    images: int = 1
    lime_images: int = 1
    cam_images: int = 8
    steps: int = 98
    flip_steps: int = 96
    window: int = 32
    stride: int = 32
    segments: int = 50
    samples: int = 200
    path: int = 50

    @property
    def most_images(self) -> int:
        """Images of the method that takes most."""
        return max(self.images, self.lime_images, self.cam_images)

    @property
    def classes(self) -> tuple[str, ...]:
        return tuple(f"class_{k}" for k in range(self.outputs))


_SIZES = (
    Size(
        "resnet18_96", "resnet18", 3, 96, "binary", 2,
        images=4, cam_images=32, steps=96, window=16, stride=8, samples=1000,
    ),
    Size(
        "lite0_96", "tf_efficientnet_lite0", 3, 96, "binary", 2,
        images=4, cam_images=16, steps=96, window=16, stride=8, samples=1000,
    ),
    Size(
        "lite0_160", "tf_efficientnet_lite0", 3, 160, "binary", 2,
        images=2, steps=100, window=32, stride=16, samples=400,
    ),
    Size(
        "densenet121_96", "densenet121", 3, 96, "binary", 2,
        images=2, steps=96, window=16, stride=8, samples=500,
    ),
    Size(
        "efficientnet_b0_224_grey", "efficientnet_b0", 1, 224, "binary", 2,
        single_logit=True, flip_steps=98,
    ),
    Size("vit_tiny_224", "vit_tiny_patch16_224", 3, 224, "binary", 2),
    Size(
        "resnet50_224_14labels", "resnet50", 3, 224, "multilabel", 14,
        cam_images=4, steps=49, flip_steps=48, window=56, stride=56,
        segments=25, samples=100, path=16,
    ),
)  # fmt: skip
SIZES = {size.name: size for size in _SIZES}

_TINY = {
    "architecture": "resnet10t", "pixels": 64, "images": 2, "cam_images": 2, "steps": 16,
    "window": 32, "stride": 16, "segments": 9, "samples": 24, "path": 4,
}  # fmt: skip
_QUICK = (
    Size("quick_rgb", channels=3, task="binary", outputs=2, flip_steps=12, **_TINY),
    Size(
        "quick_grey",
        channels=1,
        task="binary",
        outputs=2,
        single_logit=True,
        flip_steps=16,
        **_TINY,
    ),
    Size("quick_labels", channels=3, task="multilabel", outputs=14, flip_steps=12, **_TINY),
)  # fmt: skip
QUICK = {size.name: size for size in _QUICK}
"""So small that all of it takes seconds: for trying the flow, never for a figure."""


def on_gpu(size: Size) -> Size:
    """Return the size with images enough to fill a GPU's batches."""
    return replace(
        size,
        images=4 * size.images,
        lime_images=4 * size.lime_images,
        cam_images=8 * size.cam_images,
    )


BRIEF = tuple(name for name in SIZES if name != "lite0_160")
"""The sizes that are timed in brief: one of each network."""


def brief(size: Size) -> Size:
    """Return the size with so little of each method that all networks take minutes."""
    steps = {96: 48, 160: 50, 224: 14}[size.pixels]  # divide the pixels
    less = {"images": 1, "lime_images": 1, "cam_images": 4, "samples": 64, "path": 16}
    return replace(size, steps=steps, **less)
