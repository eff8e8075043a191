"""For which images a network's weights were made, as a record says, against those of a run."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from numbers import Real

_SIZES = ("input_size", "img_size", "image_size", "crop_size")
_MEANS = {"mean": ("mean", "image_mean"), "std": ("std", "image_std")}
_DEPTH = 5
_NEAR = 2e-3  # records round: 0.229 is 0.2290, and 58.395 / 255


@dataclass(frozen=True)
class MadeFor:
    """What is known of the images that weights were trained on; None where nothing is.

    Attributes:
        source: who says so: ``timm's record of resnet18``, or a file's name.
        mean, std: of the normalisation, one a channel, in the unit of [0, 1] images.
        size: height and width.
    """

    source: str
    mean: tuple[float, ...] | None = None
    std: tuple[float, ...] | None = None
    size: tuple[int, int] | None = None

    def differences(
        self, mean: tuple[float, ...], std: tuple[float, ...], size: tuple[int, int]
    ) -> Iterator[str]:
        """Yield a line for each part of a run's preprocessing that differs, with both values."""
        for what, own, used in (("mean", self.mean, mean), ("std", self.std, std)):
            if own is not None and not _alike(own, used):
                yield (
                    f"Warning: images are normalised by the {what} {_shown(used)}, and "
                    f"{self.source} says {_shown(own)}"
                )
        if self.size is not None and self.size != tuple(size):
            yield (
                f"Warning: images are {size[0]}x{size[1]}, and {self.source} says "
                f"{self.size[0]}x{self.size[1]}"
            )


def recorded(tree: object, source: str) -> MadeFor | None:
    """Return what a checkpoint says of its images under ``mean``, ``std`` and ``input_size``.

    Or under ``image_mean`` and so on, as transformers has them. These keys are looked for beside
    the weights and in what lies there (``config``, ``args``); numbers above 1 are taken for those
    of 0..255.
    """
    found: dict[str, tuple] = {}
    for part in _mappings(tree, _DEPTH):
        for name, spelled in _MEANS.items():
            for key in spelled:
                if name not in found and (values := _numbers(part.get(key))):
                    found[name] = values
        for name in _SIZES:
            if "size" not in found and (size := _size(part.get(name))):
                found["size"] = size
    unit = 255 if max(found.get("mean", (0,))) > 1 or max(found.get("std", (0,))) > 2 else 1
    for name in {"mean", "std"} & found.keys():
        found[name] = tuple(value / unit for value in found[name])
    return MadeFor(source, **found) if found else None


def _mappings(tree: object, depth: int) -> Iterator[Mapping]:
    """Yield a mapping and those in it, the outer first; a namespace counts as one."""
    if not isinstance(tree, Mapping) and type(tree).__name__ == "Namespace":
        tree = vars(tree)
    if isinstance(tree, Mapping) and depth:
        yield tree
        for value in tree.values():
            yield from _mappings(value, depth - 1)


def _numbers(value: object) -> tuple[float, ...] | None:
    if not isinstance(value, list | tuple) or not 1 <= len(value) <= 4:
        return None
    plain = all(isinstance(v, Real) and not isinstance(v, bool) for v in value)
    return tuple(map(float, value)) if plain else None


def _size(value: object) -> tuple[int, int] | None:
    if isinstance(value, Mapping):
        value = (value.get("height"), value.get("width"))
    if isinstance(value, int) and not isinstance(value, bool):
        value = (value, value)
    if not isinstance(value, list | tuple) or len(value) not in (1, 2, 3):
        return None
    if not all(isinstance(v, int) and not isinstance(v, bool) for v in value):
        return None
    return (value[-1], value[-1]) if len(value) == 1 else (value[-2], value[-1])


def _alike(own: tuple[float, ...], used: tuple[float, ...]) -> bool:
    if len(own) != len(used):  # grey images have the mean over the channels
        own, used = (sum(own) / len(own),), (sum(used) / len(used),)
    return all(abs(a - b) <= _NEAR for a, b in zip(own, used, strict=True))


def _shown(values: tuple[float, ...]) -> str:
    return f"({', '.join(f'{value:.4g}' for value in values)})"
