"""`xaibench show`: what a plugin is, whoever wrote it and however it is named."""

from __future__ import annotations

import json
import sys

import pytest

from xaibench.checks.description import describe
from xaibench.config.parameters import REQUIRED
from xaibench.registry import Plugin, Registry

METRIC = '''
from dataclasses import dataclass
from typing import Annotated, ClassVar

from pydantic import Field

from xaibench import MapMetric, PassCount, Scores, register


@register("metric")
@dataclass(frozen=True)
class Level(MapMetric):
    """The mean of a map.

    In words.
    Cost: two passes an image.
    Source: Somebody 2020, "On levels", equation 3.
    """

    needed: str
    part: Annotated[float, Field(gt=0, le=1)] = 0.5

    higher_is_better: ClassVar[bool] = True
    range: ClassVar[tuple[float, float]] = (0.0, 1.0)

    def cost(self, model, batch):
        return PassCount(2 * len(batch), 0)

    def score(self, model, batch, maps):
        return Scores({self.name: maps.mean((1, 2))})
'''


def test_an_explainer_is_told_in_words(xaibench):
    code, out, _ = xaibench("show", "square_occlusion")
    assert code == 0
    assert out.startswith("explainer square_occlusion\nDrop of the target's score where")
    assert 'source: Zeiler and Fergus 2014, "Visualizing and' in out
    assert "cost: one pass a window, (1 + ceil((H - window) / stride))" in out
    assert "Source:" not in out
    assert "needs of a model: scores" in out
    assert "comes from: xaibench" in out
    rows = [line.strip().split(maxsplit=2) for line in out.splitlines()]
    assert ["window", "16", "integer, above 0"] in rows
    assert ["space", '"prob"', "one of prob, logit"] in rows
    assert "\x1b" not in out  # plain, where no terminal looks on


def test_a_metric_tells_its_protocol_direction_and_range(xaibench):
    _, out, _ = xaibench("show", "deletion")
    assert "direction: lower is better\nrange: 0 to 1\n" in out
    assert ("protocol id: deletion[fill=dataset_mean,score=prob,steps=100,ties=seeded]\n") in out


def test_a_model_and_a_data_set_tell_what_they_are_called(xaibench):
    _, out, _ = xaibench("show", "gap_cnn")
    assert 'its id in tables: {"single_logit": false, "use": "gap_cnn", "width": 64}' in out
    _, out, _ = xaibench("show", "dataset:pcam")
    assert "train_fraction" in out


def test_as_json(xaibench):
    code, out, _ = xaibench("show", "deletion", "--json")
    told = json.loads(out)
    assert code == 0
    assert told["ids"] == {
        "deletion": "deletion[fill=dataset_mean,score=prob,steps=100,ties=seeded]"
    }
    assert told["parameters"]["steps"] == {
        "type": "integer", "default": 100, "required": False, "bounds": "at least 2", "choices": []
    }  # fmt: skip
    assert told["reference"] == "Petsiuk et al. 2018, RISE, section 4.1."


def test_a_file_and_what_must_be_set(xaibench, tmp_path):
    file = tmp_path / "level.py"
    file.write_text(METRIC)
    code, out, _ = xaibench("show", file)
    assert code == 0
    assert out.startswith("metric level\nThe mean of a map.\n\nIn words.\n")
    assert 'source: Somebody 2020, "On levels", equation 3.' in out
    assert f"comes from: {file}" in out
    assert "(none: must be set)" in out
    assert "protocol id" not in out  # nobody knows the parameter that must be set
    file.write_text(METRIC.replace("    needed: str\n", ""))
    _, out, _ = xaibench("show", "level", "--plugin", file)
    assert "passes for one image of 96x96: 2 forward, 0 backward" in out
    assert "protocol id: level[part=0.5]" in out


def test_a_dotted_path(xaibench, tmp_path, monkeypatch):
    (tmp_path / "toy_show.py").write_text(METRIC)
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.delitem(sys.modules, "toy_show", raising=False)
    code, out, _ = xaibench("show", "toy_show:Level")
    assert code == 0
    assert out.startswith("metric toy_show:Level\n")


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("grdacam",), "unknown plugin 'grdacam' (did you mean 'grad_cam', "),
        (("insertoin", "--kind", "metric"), "unknown metric 'insertoin' (did you mean 'insertion'"),
        (("metric:lime",), "unknown metric 'lime'"),
        (("lime", "--kind", "metrc"), "--kind: unknown kind 'metrc'; allowed: dataset, "),
        (("no.py",), "plugin file no.py does not exist"),
        (("no_such_package:Thing",), "cannot be imported: ModuleNotFoundError"),
    ],
)
def test_what_there_is_not(xaibench, words, said):
    code, out, err = xaibench("show", *words)
    assert (code, out) == (2, "")
    assert said in err
    assert err.count("\n") == 1


def test_one_name_of_two_kinds_is_asked_for_with_its_kind(xaibench, tmp_path):
    one = tmp_path / "deletion.py"
    one.write_text(
        "from dataclasses import dataclass\nfrom xaibench import Explainer, register\n"
        '@register("explainer")\n@dataclass(frozen=True)\nclass Deletion(Explainer):\n'
        '    """Another."""\n    def attribute(self, model, batch):\n        return None\n'
    )
    _, _, err = xaibench("show", "deletion", "--plugin", one)
    said = "'deletion' is the name of 2 plugins; say explainer:deletion or metric:deletion"
    assert err == f"xaibench: {said}\n"
    assert xaibench("show", "explainer:deletion", "--plugin", one)[0] == 0
    assert xaibench("show", "deletion", "--kind", "metric", "--plugin", one)[0] == 0


def test_what_lacks_its_library_is_told_all_the_same():
    from xaibench.errors import UserError

    def load():
        raise UserError(
            "explainer 'zennit.x' needs the package 'zennit', which is not installed; …"
        )

    told = describe(Plugin("explainer", "zennit.x", "A rule.", "xaibench", load))
    assert (told.definition, told.parameters) == ("A rule.", {})
    assert told.missing.startswith("explainer 'zennit.x' needs the package 'zennit'")


@pytest.mark.parametrize("plugin", Registry().plugins(), ids=lambda p: f"{p.kind}:{p.name}")
def test_every_plugin_can_be_shown(plugin):
    told = describe(plugin)
    assert told.definition
    assert json.dumps(told.plain())
    must_be_set = any(parameter.default is REQUIRED for parameter in told.parameters.values())
    assert told.missing or bool(told.ids) != must_be_set
