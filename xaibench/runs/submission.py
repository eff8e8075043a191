"""A challenge's submission: every output of the model for every image, in the order asked for."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd

from xaibench.config.sections import SubmissionOptions
from xaibench.errors import UserError, did_you_mean


def check_submission(options: SubmissionOptions | None, classes: Sequence[str]) -> None:
    """Raise UserError for a column that is no output of the model."""
    for column in options.columns if options else ():
        if column not in classes:
            raise UserError(
                f"submission.columns: no output {column!r}{did_you_mean(column, classes)}"
            )


def submission_table(
    predictions: pd.DataFrame, options: SubmissionOptions, classes: Sequence[str]
) -> pd.DataFrame:
    """Return a row an image: its id, then a column an output, in ``[low, high]``.

    ``value = low + (high - low) * clip(p, 0, 1)``: a regressor may overshoot the labels' range,
    a challenge's scale does not.

    Args:
        predictions: columns image and ``p_OUTPUT`` for each output.
        classes: the outputs, in the data set's order, which holds where no columns are named.
    """
    columns = list(options.columns) or list(classes)
    table = pd.DataFrame({options.id_column: predictions["image"]})
    for column in columns:
        share = predictions[f"p_{column}"].clip(0, 1)
        table[column] = options.low + (options.high - options.low) * share
    return table
