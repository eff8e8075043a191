"""The engine: scores of images with some pixels replaced by a fill, in full batches.

Every perturbation explainer and every perturbation metric asks this one question. Masks come in
compact forms and are expanded on the device for the batch in hand only, so memory depends
on the batch size, never on the number of images, masks or steps. Masked copies are packed across
images and masks into full batches, and go through a copy of the network that is made for forward
passes alone.
"""

from xaibench.engine.altered import altered_scores
from xaibench.engine.batch import Batch, Evidence, Maps, PerImage, Pixels, Seeds, Segments, Targets
from xaibench.engine.batches import automatic_batch_size, in_batches, maps_in_batches
from xaibench.engine.block_gradients import (
    block_image_gradients,
    block_layer_gradients,
    block_layer_maps,
)
from xaibench.engine.by_segment import (
    segment_areas,
    segment_mean_images,
    segment_means,
    segment_sums,
)
from xaibench.engine.curves import (
    region_curve,
    removal_curve,
    segment_curve,
    step_counts,
    trapezoid,
)
from xaibench.engine.fills import Fill, fill_images
from xaibench.engine.gradients import (
    Channels,
    gradient_sums,
    over_channels,
    scores_between,
    target_gradients,
)
from xaibench.engine.imputation import impute
from xaibench.engine.layers import (
    ablated_scores,
    layer_gradients,
    layer_maps,
    outputs_kept,
    read_layer,
)
from xaibench.engine.masks import (
    BoxMasks,
    Masks,
    OneSegmentMasks,
    RankMasks,
    SegmentMasks,
    SharedMasks,
    SoftMasks,
)
from xaibench.engine.passed_once import block_scores
from xaibench.engine.perturbations import NoiseRemoved, SquaresRemoved
from xaibench.engine.quadrature import Rule, apportioned, points_by_part, quadrature
from xaibench.engine.ranking import BandMasks, grid_segments, pixel_ranks, segment_ranks
from xaibench.engine.scores import masked_scores
from xaibench.engine.shapley import Coalitions, coalition_counts, coalitions, shapley_values
from xaibench.engine.shared import filled_score, shared_scores, unmasked_score
from xaibench.engine.smooth import SmoothMasks, area_excess, blur_levels, degraded
from xaibench.engine.soft import ChannelMasks, GridMasks, soft_scores
from xaibench.engine.subsets import RandomSubsets
from xaibench.engine.windows.scores import window_scores
