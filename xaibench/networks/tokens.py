"""Where the tokens of a network lie in the image, and maps made of what its layers give."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from jaxtyping import Float
from torch import Tensor, nn

_DROP = "patch_drop"


class NoMapError(ValueError):
    """What a layer gives is no map; says why, in the rest of a sentence that names the layer."""


@dataclass(frozen=True)
class TokenGrid:
    """How (B, N, C) tokens, or (B, h, w, C) maps, are to be read as (B, C, h, w).

    Attributes:
        grids: rows and columns of patch tokens, one pair for each resolution that the network
            has: one for a ViT, four for a pyramid. Tokens are read row by row.
        prefix_tokens: tokens before those of the patches: class, distillation and register tokens.
        head_tokens: how many of these, from the first, the head reads; 0 where it reads the
            patches.
        drop_at: name of the module whose output holds all tokens with their positions, behind which
            a token can be left out and the network goes on with the rest; None where it cannot.
        channels_last: whether maps of four dimensions are (B, h, w, C), where their shape does not
            tell: what fits one of the grids in one order alone is read in that order.
    """

    grids: tuple[tuple[int, int], ...] = ()
    prefix_tokens: int = 0
    head_tokens: int = 0
    drop_at: str | None = None
    channels_last: bool = False

    def maps(self, output: object) -> Float[Tensor, "batch channel h w"]:
        """Return a layer's output as maps; a view, so gradients pass. Raises NoMapError."""
        if not isinstance(output, Tensor):
            raise NoMapError(f"gives {type(output).__name__}, not one tensor")
        if output.ndim == 4:
            return output.permute(0, 3, 1, 2) if self._last(output) else output
        if output.ndim != 3:
            raise NoMapError(f"gives {tuple(output.shape)}, which is no map")
        tokens = output.shape[1]
        for prefix in dict.fromkeys((self.prefix_tokens, 0)):  # some layers have no such tokens
            for rows, columns in self.grids:
                if rows * columns == tokens - prefix:
                    patches = output[:, prefix:].transpose(1, 2)
                    return patches.unflatten(2, (rows, columns))
        grids = " or ".join(f"{rows} x {columns}" for rows, columns in self.grids) or "none known"
        raise NoMapError(
            f"gives {tuple(output.shape)}, and {tokens} tokens are no grid of the network "
            f"({grids}, with {self.prefix_tokens} tokens before them or none)"
        )

    def _last(self, output: Float[Tensor, "batch a b c"]) -> bool:
        shape = tuple(output.shape)
        first, last = shape[2:] in self.grids, shape[1:3] in self.grids
        return last if first != last else self.channels_last


def token_grid(net: nn.Module, size: tuple[int, int]) -> TokenGrid:
    """Return how the outputs of a timm network's layers are read, for images of a size.

    The grids are those of its patch embedding and of the reductions in its ``feature_info``.
    """
    prefix = _prefix_tokens(net)
    of_class = getattr(net, "global_pool", None) == "token"
    return TokenGrid(
        grids=tuple(dict.fromkeys(_grids(net, size))),
        prefix_tokens=prefix,
        head_tokens=min(prefix, 1 + hasattr(net, "head_dist")) if of_class else 0,
        drop_at=_DROP if isinstance(getattr(net, _DROP, None), nn.Module) else None,
        channels_last=getattr(net, "output_fmt", "NCHW") == "NHWC",
    )


def _grids(net: nn.Module, size: tuple[int, int]) -> Iterator[tuple[int, int]]:
    for name in ("patch_embed", "stem"):
        grid = getattr(getattr(net, name, None), "grid_size", None)
        if grid is not None:
            yield tuple(grid)
    stages = list(getattr(net, "feature_info", None) or ())
    if hasattr(net, "reroll"):
        stages = stages[-1:]  # Hiera: until its last stage tokens do not stand in rows
    for stage in stages:
        by = stage.get("reduction")
        if isinstance(by, int) and by > 0:
            yield tuple(-(-side // by) for side in size)
            yield tuple(side // by for side in size)


def _prefix_tokens(net: nn.Module) -> int:
    known = getattr(net, "num_prefix_tokens", None)
    if known is not None:
        return int(known)
    token = getattr(net, "cls_token", None)
    return token.shape[1] if isinstance(token, nn.Parameter) and token.ndim == 3 else 0
