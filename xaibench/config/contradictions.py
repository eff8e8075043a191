"""Settings that contradict a data set's task: told before an image is read, if the task is known.

A plugin may say its task (`Dataset.task`); then a config is refused as it is read. Else a run looks
once its data set is open.
"""

from __future__ import annotations

from xaibench.config.run_config import RunConfig
from xaibench.errors import UserError
from xaibench.types import Task


def check_task(config: RunConfig, task: Task | None, outputs: int | None = None) -> None:
    """Raise UserError ``KEY: ...`` for the first setting that no model of the task can follow.

    Args:
        task: None where it is not known: nothing is looked at then.
        outputs: classes, labels or outputs of the data set; None where their number is not known.
    """
    name, training = config.dataset.name, config.training
    if task is None:
        return
    if config.model_per_label and task in ("binary", "multiclass"):
        raise UserError(
            f"model_per_label: {name} has one label an image ({task}); leave it out, or use a "
            "data set of several labels"
        )
    if getattr(config.model, "single_logit", None) is True and task != "binary":
        raise UserError(
            f"model.single_logit: is of two classes, and the task of {name} is {task}; leave it out"
        )
    if training.epochs == 0:
        return
    if task == "regression" and training.monitor != "loss":
        raise UserError(
            f"training.monitor: is {training.monitor}, which regression has not (the task of "
            f"{name}); use monitor: loss"
        )
    if training.pos_weight is not None and task in ("multiclass", "regression"):
        raise UserError(
            f"training.pos_weight: the task of {name} is {task}, which has no positives to weigh; "
            "leave it out"
        )
    several = outputs is not None and outputs > 1 and task in ("multilabel", "regression")
    if training.sampling == "balanced" and several and not config.model_per_label:
        raise UserError(
            f"training.sampling: balanced needs one label an image, and {name} has {outputs}; use "
            "sampling: uniform with pos_weight: balanced, or a model for each label"
        )
