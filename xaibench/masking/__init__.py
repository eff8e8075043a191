"""The engine: scores of images with some pixels replaced by a fill, in full batches.

Every perturbation explainer and every perturbation metric asks this one question. Masks come in
four compact forms and are expanded on the device for the batch in hand only, so memory depends
on the batch size, never on the number of images, masks or steps. Masked copies are packed across
images and masks into full batches, and go through a copy of the network that is made for forward
passes alone.
"""

from xaibench.masking.batches import automatic_batch_size, in_batches, maps_in_batches
from xaibench.masking.by_segment import segment_areas, segment_means
from xaibench.masking.curves import removal_curve, step_counts, trapezoid
from xaibench.masking.fills import Fill, fill_images
from xaibench.masking.masks import BoxMasks, Masks, RankMasks, SegmentMasks, SharedMasks
from xaibench.masking.scores import masked_scores
from xaibench.masking.shared import filled_score, unmasked_score
from xaibench.masking.windows.scores import window_scores

__all__ = [
    "BoxMasks",
    "Fill",
    "Masks",
    "RankMasks",
    "SegmentMasks",
    "SharedMasks",
    "automatic_batch_size",
    "fill_images",
    "filled_score",
    "in_batches",
    "maps_in_batches",
    "masked_scores",
    "removal_curve",
    "segment_areas",
    "segment_means",
    "step_counts",
    "trapezoid",
    "unmasked_score",
    "window_scores",
]
