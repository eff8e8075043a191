"""What becomes of a model when one of its passes fails in the middle of a plugin's work."""

from __future__ import annotations

from collections.abc import Callable

from torch import Tensor

from xaibench.checks import surroundings
from xaibench.checks.check import NotApplicableError
from xaibench.checks.comparing import gap
from xaibench.checks.model_state import ModelState, unusual
from xaibench.models.base import Classifier

_PASSES = (1, 2)
"""Which pass fails, one after the other."""


class _FailedPassError(RuntimeError):
    """Raised by the check's own hand."""


def interrupted(
    model: Classifier, act: Callable[[], Tensor], wanted: Tensor, tolerance: float
) -> str | None:
    """Let passes of the model fail under an act; say what it leaves changed, or hides.

    Args:
        wanted: what the act gives; it may go another way than the one that failed, and then must
            give it all the same.

    Raises:
        NotApplicableError: the act makes no pass at all.
    """
    head = model.module(model.head_module)
    unusual(model)
    for number in _PASSES:
        seen = 0

        def fail(*_: object, number: int = number) -> None:
            nonlocal seen
            seen += 1
            if seen == number:
                raise _FailedPassError("a pass that the check lets fail")

        trap = head.register_forward_pre_hook(fail)
        try:
            state = ModelState(model)
            raised, given = None, None

            def once() -> None:
                nonlocal raised, given, seen
                seen = 0
                try:
                    given = act()
                except Exception as error:
                    raised = error

            changed = surroundings.changes(once)
            changed |= state.changes()
        finally:
            trap.remove()
        if seen == 0:
            raise NotApplicableError("it makes no pass that could fail")
        if seen < number:
            continue
        if raised is None and gap(wanted, given.detach()) > tolerance:
            return f"pass {number} failed, which was hidden, and the answer is another; let it out"
        if changed:
            promise, why = next(iter(changed.items()))
            return f"after pass {number} failed, it no longer {promise}: {why}"
    return None
