"""The columns of a run's tables."""

from __future__ import annotations

import pyarrow as pa

KEYS = ["dataset", "split", "model"]
"""What one leaderboard is about; several runs, or one run's rows, are told apart by them."""
ITEM = ["image", "target"]
"""What a row is about: an image may be explained for several targets."""
SEED = "training_seed"
"""Whose model a row is about: a run may train one for each of several seeds."""


def maps_of_seed(seed: int) -> str:
    """Return the group of ``maps.h5`` that holds the maps of a training seed but the first."""
    return f"seeds/{seed}"


_TEXT = pa.string()
SCORES = pa.schema(
    [
        *((k, _TEXT) for k in ("run", "dataset", "split", "model")),
        (SEED, pa.int64()),
        *((k, _TEXT) for k in ("image", "group", "label", "target")),
        ("p_target", pa.float64()),
        ("explainer", _TEXT),
        ("params", _TEXT),
        ("control", pa.bool_()),
        ("metric", _TEXT),
        ("protocol", _TEXT),
        ("higher_is_better", pa.bool_()),
        ("bound_low", pa.float64()),
        ("bound_high", pa.float64()),
        ("value", pa.float64()),
        ("status", _TEXT),
        ("reason", _TEXT),
        ("forward_passes", pa.float64()),
        ("backward_passes", pa.float64()),
    ]
)
"""One row for each training seed x image x explainer x metric; a metric that needs no map has no
explainer, one of the model alone has no image either. ``params`` are the explainer's, or else the
metric's. ``bound_low`` and ``bound_high`` are what the metric's values can be at least and at most.
``status``: ok, constant (the map says nothing), nan, failed, or undefined (the metric has no value
there by its definition). Passes are those of the map, an image. Wall times vary from run to run
and stand apart, in ``TIMINGS``, so that one seed gives the same bytes."""

LEDGER = pa.schema(
    [
        *((k, _TEXT) for k in ("run", "dataset", "split", "model")),
        (SEED, pa.int64()),
        ("explainer", _TEXT),
        ("metric", _TEXT),
        *((k, pa.int64()) for k in ("asked", "computed", "shared", "backward")),
    ]
)
"""One row for each training seed, explainer and metric, over all blocks: images that it asked the
model (and the twin, or others that it compares with) to pass forward; those that were passed; those
that were not, since the block knew their scores (``engine.block_scores``); and backward passes as
they were asked for, gradients that a block shares for each that asked. ``asked = computed +
shared``. Without a metric: making the maps, of all draws. Without an explainer: a metric that needs
no map. Without both: scores that all methods of a block share and that are counted for nobody, such
as that of the unmasked image. Metrics see the maps of several explainers at once
(``cells.scored_together``), and what that took is divided among them by their maps."""

_NUMBERS = pa.list_(pa.float64())
CURVES = pa.schema(
    [
        ("run", _TEXT),
        (SEED, pa.int64()),
        *((k, _TEXT) for k in ("image", "target", "explainer", "metric", "curve")),
        ("x", _NUMBERS),
        ("y", _NUMBERS),
    ]
)
TIMINGS = pa.schema(
    [
        ("run", _TEXT),
        (SEED, pa.int64()),
        ("explainer", _TEXT),
        ("block", pa.int64()),
        ("images", pa.int64()),
        ("device", _TEXT),
        ("explain_seconds", pa.float64()),
        ("explain_peak_bytes", pa.int64()),
        ("explain_forward", pa.int64()),
        ("explain_backward", pa.int64()),
        ("score_seconds", pa.float64()),
        ("score_peak_bytes", pa.int64()),
        ("score_forward", pa.int64()),
        ("score_backward", pa.int64()),
    ]
)
"""One row for each cell: what making a block's maps cost, and what scoring them cost, and on which
hardware (``provenance.hardware``), since the cells of one run may be done on several machines.
Passes are images passed through the model (and the twin, in scoring), over the whole block;
``…_peak_bytes`` is what ``memory.peak_memory`` found, null where it cannot be told."""
