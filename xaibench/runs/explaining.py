"""Maps of a block by one explainer: what became of each, what they cost, and further draws."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace

import torch

from xaibench.engine import Batch, Maps
from xaibench.engine.costs import measured
from xaibench.errors import PluginError, UserError
from xaibench.explainers.base import Explainer, Explanation
from xaibench.models.base import Classifier, PassCount
from xaibench.randomness import draw_seeds
from xaibench.runs.rows import OUTCOMES, Outcome


@dataclass(frozen=True)
class Explained:
    """An explainer's maps of a block, with what became of each and what they cost.

    Attributes:
        explanation: the first draw, the one that is kept.
        draws: the maps of all draws; further ones than the first come with ``drawn``.
        outcomes: one an image; where a draw failed, that draw's.
        peak_bytes: most memory in use while the first draw was made.
    """

    explainer: Explainer
    explanation: Explanation
    draws: tuple[Maps, ...]
    outcomes: list[Outcome]
    peak_bytes: int | None

    @classmethod
    def of(cls, explainer: Explainer, model: Classifier, batch: Batch) -> Explained:
        """Explain a block, the first draw alone."""
        with measured(model) as cost:
            explanation, outcomes = explain(explainer, model, batch)
        return cls(explainer, explanation, (explanation.maps,), outcomes, cost.peak_bytes)

    @classmethod
    def failed(
        cls, explainer: Explainer, batch: Batch, outcome: Outcome, passes: PassCount, seconds: float
    ) -> Explained:
        """Return a block without any map, with what the attempt took."""
        nothing = no_maps(batch, passes, seconds)
        return cls(explainer, nothing, (nothing.maps,), [outcome] * len(batch), None)

    def spoilt(self, outcome: Outcome) -> Explained:
        """Return the same where a further draw of the whole block came to nothing."""
        return replace(self, outcomes=[outcome if o.scored else o for o in self.outcomes])

    def drawn(self, model: Classifier, batch: Batch) -> Explained:
        """Return the same with all the draws that the explainer asks for."""
        draws, outcomes = list(self.draws), list(self.outcomes)
        for number in range(1, self.explainer.draws):
            seeded = batch.reseeded(draw_seeds(batch.seeds, number))
            explanation, its = explain(self.explainer, model, seeded)
            draws.append(explanation.maps)
            outcomes = [a if not a.scored else b for a, b in zip(outcomes, its, strict=True)]
        return replace(self, draws=tuple(draws), outcomes=outcomes)

    @property
    def at(self) -> list[int]:
        """The images whose maps are scored: metrics see finite maps only, and all draws of one."""
        return [i for i, outcome in enumerate(self.outcomes) if outcome.scored]

    @property
    def count(self) -> int:
        """Maps that are scored."""
        return len(self.at) * len(self.draws)


def scored_batch(made: Iterable[Explained], batch: Batch) -> tuple[Batch, Maps]:
    """Return all maps that are scored and their images, by explainer, then draw, then image.

    The seeds are those of each map's own draw: ties of one draw go another way than of the next.
    """
    parts = [(each, number) for each in made for number in range(len(each.draws))]
    maps = torch.cat([each.draws[number][each.at] for each, number in parts])
    seeds = torch.cat([draw_seeds(batch.seeds, number)[each.at] for each, number in parts])
    at = [i for each, _ in parts for i in each.at]
    return batch.take(at).reseeded(seeds), maps


def remade(made: Iterable[Explained], model: Classifier, scored: Batch) -> Maps:
    """Return the maps of what ``scored_batch`` gave as a model gives them, NaN where it fails.

    Args:
        scored: the same rows; their images may have been altered.
    """
    maps, first = [], 0
    for each in made:
        its = range(first, first + each.count)
        if its:
            maps.append(explain(each.explainer, model, scored.take(its))[0].maps)
        first = its.stop
    return torch.cat(maps)


def explain(
    explainer: Explainer, model: Classifier, batch: Batch
) -> tuple[Explanation, list[Outcome]]:
    """Return the maps and what became of each; an image that fails alone fails alone."""
    try:
        explanation = explainer(model, batch)
    except (UserError, PluginError):  # the user's or the plugin's mistake: every image would fail
        raise
    except (Exception, SystemExit) as error:
        if len(batch) == 1:
            return no_maps(batch), [Outcome.of(error)]
        return _joined([explain(explainer, model, part) for part in batch.split(1)])
    return explanation, [OUTCOMES[status] for status in explanation.statuses]


def no_maps(batch: Batch, passes: PassCount | None = None, seconds: float = 0.0) -> Explanation:
    """Return what stands for maps that could not be made, with what the attempt took."""
    nothing = torch.full_like(batch.images[:, 0], torch.nan)
    return Explanation(nothing, ("nan",) * len(batch), passes or PassCount(), seconds)


def _joined(
    parts: Iterable[tuple[Explanation, list[Outcome]]],
) -> tuple[Explanation, list[Outcome]]:
    parts = list(parts)
    each = [explanation for explanation, _ in parts]
    passes = sum((e.passes for e in each), PassCount())
    statuses = tuple(s for e in each for s in e.statuses)
    maps = torch.cat([e.maps for e in each])
    joined = Explanation(maps, statuses, passes, sum(e.seconds for e in each))
    return joined, [outcome for _, outcomes in parts for outcome in outcomes]
