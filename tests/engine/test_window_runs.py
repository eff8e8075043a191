"""When windows pass whole, how much is at hand at once, and what is kept between calls."""

from __future__ import annotations

import gc
import weakref

import pytest
import torch
from torch import nn
from torch.nn import functional as F
from torch.utils._python_dispatch import TorchDispatchMode
from toy_windows import BOXES, classifier, mixed, patches_of, question, recompute_everything

from xaibench.engine import BoxMasks, masked_scores, window_scores
from xaibench.engine.network import forward_network
from xaibench.engine.windows import scores
from xaibench.engine.windows.passes import WindowPass
from xaibench.engine.windows.plan import WindowPlan


@pytest.fixture
def everywhere(monkeypatch):
    recompute_everything(monkeypatch)


class Choosy(nn.Module):
    """Its way depends on what it sees: no graph says what it does."""

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.head = nn.Conv2d(3, 4, 3), nn.Linear(4, 2)

    def forward(self, x):
        x = self.conv(x)
        return self.head((x if x.sum() > 0 else -x).mean((2, 3)))


class Overwriting(nn.Module):
    """Reads a map again after a step in place: what is traced is not what happens."""

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.head = nn.Conv2d(3, 4, 3), nn.Linear(4, 2)

    def forward(self, x):
        x = self.conv(x)
        y = F.relu(x, inplace=True)
        return self.head((y - x * x).mean((2, 3)))


@pytest.mark.usefixtures("everywhere")
@pytest.mark.parametrize("net", [Choosy, Overwriting])
def test_networks_that_cannot_be_read_pass_whole(net):
    torch.manual_seed(0)
    model, asked = classifier(net()), question()
    assert window_scores(model, *asked) == pytest.approx(masked_scores(model, *asked), abs=1e-6)
    assert model.passes.forward == 4 * len(BOXES)
    assert patches_of(model) == set()


@pytest.mark.usefixtures("everywhere")
def test_a_network_that_is_watched_passes_whole():
    model, seen = mixed(), []
    asked = question()
    plain = window_scores(model, *asked)
    model.net.wide.register_forward_hook(lambda *_: seen.append(1))
    assert window_scores(model, *asked) == pytest.approx(plain, abs=1e-5)
    assert seen == [1]


@pytest.mark.usefixtures("everywhere")
def test_images_with_different_numbers_of_boxes_pass_whole():
    model = mixed()
    images, fills, targets, masks = question()
    masks = BoxMasks(masks.boxes, masks.size, torch.tensor([2, 4]))
    scores = window_scores(model, images, fills, targets, masks)
    assert scores.shape == (2, 4)
    assert scores.isnan().tolist() == [[False, False, True, True], [False] * 4]


@pytest.mark.usefixtures("everywhere")
def test_only_the_first_boxes_where_the_count_says_so():
    model = mixed()
    scores = window_scores(model, *question(count=3))
    assert scores == pytest.approx(window_scores(model, *question())[:, :3], abs=1e-6)
    assert window_scores(model, *question(count=0)).shape == (2, 0)


def short_of_memory(monkeypatch, most: int, method: str) -> list[int]:
    """Let a pass fail for more than ``most`` images; return the sizes that it was given."""
    run, sizes = getattr(WindowPass, method), []

    def limited(self, own, last, *others):
        sizes.append(len(last))
        if len(last) > most:
            raise torch.OutOfMemoryError("out of memory")
        return run(self, own, last, *others)

    monkeypatch.setattr(WindowPass, method, limited)
    return sizes


@pytest.mark.usefixtures("everywhere")
def test_out_of_memory_halves_the_batch_and_goes_on(monkeypatch):
    asked = question(images=3)
    twin = masked_scores(mixed(), *asked)
    model = mixed(batch_size=16)
    sizes = short_of_memory(monkeypatch, 4, "logits")
    assert window_scores(model, *asked) == pytest.approx(twin, abs=1e-5)
    assert (sizes[:4], model.batch_size, model.passes.forward) == ([16, 8, 4, 4], 4, 27)


@pytest.mark.usefixtures("everywhere")
def test_memory_depends_on_the_batch_alone(monkeypatch):
    """Images at hand at once: an eighth of a batch, or fewer if their windows fill four."""
    groups, pairs = (short_of_memory(monkeypatch, 99, method) for method in ("own_maps", "logits"))
    window_scores(mixed(batch_size=16), *question(images=5))
    assert groups == [2, 2, 1]
    assert pairs == [16, 2, 16, 2, 9]
    groups.clear()
    window_scores(mixed(batch_size=64), *question(images=5, boxes=BOXES * 10))
    assert groups == [3, 2]


class Largest(TorchDispatchMode):
    """Notes how many numbers each step makes."""

    def __init__(self) -> None:
        super().__init__()
        self.made: list[int] = []

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        out = func(*args, **(kwargs or {}))
        if isinstance(out, torch.Tensor) and out.is_floating_point():
            self.made.append(out.numel())
        return out


def largest_of_one(work) -> int:
    """Return the most numbers that a step makes for each item more; ``work`` takes their number."""
    steps = []
    for count in (1, 2):
        with torch.no_grad(), Largest() as seen:
            work(count)
        steps.append(seen.made)
    return max(two - one for one, two in zip(*steps, strict=True))


@pytest.mark.usefixtures("everywhere")
@pytest.mark.parametrize(("box", "per_pass"), [(4, 5), (8, 4), (64, 1)])
def test_light_windows_come_more_a_batch(monkeypatch, box, per_pass):
    """As many as take the memory of whole passes, as the largest map of each says."""
    asked = question(images=1, size=(64, 64), boxes=[[8, 8 + box, 8, 8 + box]] * 20)
    pairs = short_of_memory(monkeypatch, 99, "logits")
    model = mixed(batch_size=2)
    window_scores(model, *asked)
    assert pairs[0] == min(20, 2 * per_pass)
    network = forward_network(model)
    passes = scores._PASSES[network.net][1]
    ready = network.normalised(asked[0])
    own = passes.own_maps(ready, ready)
    nth = lambda count: torch.zeros(count, dtype=torch.int64)
    part = largest_of_one(lambda count: passes.logits(own, nth(count), nth(count)))
    whole = largest_of_one(lambda count: network.net(ready.expand(count, -1, -1, -1)))
    assert per_pass == min(8, max(1, whole // part))


@pytest.mark.usefixtures("everywhere")
def test_out_of_memory_of_the_images_own_maps_halves_too(monkeypatch):
    model, asked = mixed(batch_size=64), question(images=8)
    twin = masked_scores(mixed(), *asked)
    sizes = short_of_memory(monkeypatch, 2, "own_maps")
    assert window_scores(model, *asked) == pytest.approx(twin, abs=1e-5)
    assert (sizes, model.batch_size) == ([8, 4, 2, 2, 2, 2], 16)


@pytest.mark.usefixtures("everywhere")
def test_plans_are_made_once_and_die_with_the_model(monkeypatch):
    model, made = mixed(), []
    init = WindowPlan.__init__
    monkeypatch.setattr(
        WindowPlan, "__init__", lambda self, *a, **k: (made.append(1), init(self, *a, **k))[0]
    )
    for _ in range(3):
        window_scores(model, *question())
    assert len(made) == 1
    window_scores(model, *question(boxes=BOXES[:2]))
    assert len(made) == 2
    net = weakref.ref(forward_network(model).net)
    del model
    gc.collect()
    assert net() is None
