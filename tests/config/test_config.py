"""A config is wholly checked before anything loads, and each mistake is one line with its place."""

from __future__ import annotations

import dataclasses
import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from pydantic import ValidationError

from xaibench.config.reading import load_config
from xaibench.config.run_config import dump
from xaibench.config.sections import SegmentOptions
from xaibench.errors import UserError

CONFIGS = Path(__file__).parents[2] / "configs"
TEXT = """\
name: base
dataset: {use: pcam, when_missing: synthesize}
model: {use: timm, architecture: resnet10t, weights: none}
training:
  epochs: 1
  augment: {rotation: 5}
explainers:
  random:
metrics:
  deletion: {steps: 4}
"""


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "c.yaml"
    path.write_text(TEXT)
    return path


def refused(path: Path, *overrides: str) -> str:
    with pytest.raises(UserError) as caught:
        load_config(path, overrides)
    said = str(caught.value)
    assert "\n" not in said
    return said


# Key, value, and what is said of it behind the key.
MISTAKES = [
    (
        "nmae",
        "x",
        "unknown key 'nmae'; allowed: batch_size, dataset, device, .* .did you mean 'name'..",
    ),
    ("training.epohcs", "3", "unknown key 'epohcs'; allowed: .* .did you mean 'epochs'.."),
    ("training.augment.rotaton", "3", "unknown key 'rotaton'; .* .did you mean 'rotation'.."),
    ("dataset.synthetic.trian", "4", "unknown key 'trian'"),
    ("dataset.rot", "x", "unknown key 'rot'; allowed: .* .did you mean 'root'.."),
    ("model.weihgts", "none", "unknown key 'weihgts'; allowed: .* .did you mean 'weights'.."),
    ("explainers.lime", "{sampels: 10}", "unknown key 'sampels'; .* .did you mean 'samples'.."),
    ("metrics.deletion.step", "4", "unknown key 'step'; .* .did you mean 'steps'.."),
    ("images.confidence", "[{low: 0, hihg: 1, count: 1}]", "unknown key 'hihg'.* 'high'.."),
    ("explainers.grdacam", "", "unknown explainer 'grdacam' .did you mean 'grad_cam', "),
    ("metrics.insertoin", "", "unknown metric 'insertoin' .did you mean 'insertion'"),
    ("dataset.use", "pcaam", "unknown dataset 'pcaam'; allowed: .* .did you mean 'pcam'.."),
    ("model.use", "tim", "unknown model 'tim'; allowed: .* .did you mean 'timm'.."),
    ("dataset", "{root: x}", "says no plugin; add `use:`; allowed: .*pcam"),
    ("training.epochs", "ten", "must be a valid integer, got 'ten'"),
    ("training.epochs", "true", "must be a valid integer, got True"),
    ("training.epochs", "1.5", "must be a valid integer, got 1.5"),
    ("training.learning_rate", "[1]", r"must be a valid number, got \[1\]"),
    ("training.learning_rate", "fast", "must be a valid number, got 'fast'"),
    ("segments.lab", "1", "must be a valid boolean, got 1"),
    ("name", "3", "must be a valid string, got 3"),
    ("explainers.random", "3", "must be .*, got 3"),
    ("dataset", "pcam", "must be .*, got 'pcam'"),
    ("images.classes", "tumour", "must be .*, got 'tumour'"),
    ("images.confidence", "[{low: 0, high: 1}]", "lacks the key 'count'"),
    ("training.epochs", "-1", "must be greater than or equal to 0, got -1"),
    ("training.augment.rotation", "181", "must be less than or equal to 180, got 181"),
    ("dataset.train_fraction", "0", "must be greater than 0, got 0"),
    ("metrics.deletion.steps", "1", "must be greater than or equal to 2, got 1"),
    ("images.count", "0", "must be greater than 0 or be 'all', got 0"),
    ("figures", "[pgn]", "must be 'png', 'pdf' or 'svg', got 'pgn' .did you mean 'png'.."),
    ("figures", "pdf", "must be .*, got 'pdf'"),
    ("figures", "[pdf]", ".*`png` must be among them, since report.html shows it"),
    ("name", "a b", "must match pattern .*, got 'a b'"),
    ("device", "gpu", "must match pattern .*auto.*cpu.*cuda.*, got 'gpu'"),
    ("metrics.deletion.fill", "blak", "unknown fill 'blak'; allowed: black, dataset_mean, .*"),
    ("metrics.deletion.fill", "2", "a fill of 2.0 is outside .0, 1., the range of images"),
    ("metrics.deletion.fill", "blur(4,2)", "the kernel of 'blur.4,2.' must be odd"),
    ("training.monitor", "auc", "must be 'accuracy', 'auroc' or 'loss', got 'auc' .* 'auroc'.."),
    ("explainers.lime", "{segmentation: slick}", "must be 'quickshift' or 'slic', .* 'slic'.."),
    ("model.weights", "no.pt", "'no.pt' is neither 'imagenet' nor 'none' nor an existing file"),
    ("model.architecture", "resnet19", "timm has no model 'resnet19' .did you mean 'resnet18'.."),
]


@pytest.mark.parametrize(("key", "value", "message"), MISTAKES, ids=lambda text: text[:30])
def test_a_mistake_names_the_set_the_key_and_what_is_allowed(path, key, value, message):
    said = refused(path, f"{key}={value}")
    assert re.match(
        rf"--set {re.escape(f'{key}={value}')}: {re.escape(key)}[\w.]*: {message}", said
    )


@pytest.mark.parametrize(
    ("written", "mistaken", "start"),
    [
        ("name: base", "nmae: base", ":1: nmae: unknown key 'nmae'"),
        ("epochs: 1", "epochs: one", ":5: training.epochs: must be"),
        ("rotation: 5", "rotaton: 5", ":6: training.augment.rotaton: unknown key"),
        ("random:", "randon:", ":8: explainers.randon: unknown explainer 'randon'"),
        ("steps: 4", "steps: 4, fill: red", ":10: metrics.deletion.fill: unknown fill"),
        ("weights: none", "weights: no.pt", ":3: model.weights: 'no.pt' is neither"),
        ("use: pcam, ", "", ":2: dataset: says no plugin"),
        ("name: base\n", "", ": name: lacks the key 'name'"),
        ("metrics:\n  deletion: {steps: 4}\n", "", ": metrics: lacks the key 'metrics'"),
        ("  epochs: 1", "  epochs: 1\n  epochs: 2", ":6: the key 'epochs' stands twice"),
        ("{steps: 4}", "{steps: 4", ":11: no valid YAML"),
    ],
)
def test_a_mistake_in_the_file_begins_with_its_line(path, written, mistaken, start):
    assert written in TEXT
    path.write_text(TEXT.replace(written, mistaken))
    assert refused(path).startswith(f"{path}{start}")


def test_an_empty_file_lacks_its_first_key(path):
    path.write_text("")
    assert refused(path) == f"{path}: name: lacks the key 'name'"


def test_missing_data_are_told_before_the_run(path, tmp_path):
    folder = tmp_path / "empty"
    said = refused(path, f"dataset={{use: pcam, root: {folder}, when_missing: error}}")
    assert f"dataset.root: {folder} lacks 6 of 6 files" in said
    assert "set when_missing to download or synthesize" in said
    assert str(Path.cwd()) in said


def test_a_whole_section_can_be_set(path):
    config = load_config(path, ["explainers={cam: , lime: {samples: 7}}", "training={}"])
    assert list(config.explainers) == ["cam", "lime"]
    assert config.explainers["lime"].samples == 7
    assert config.training.epochs == 10
    assert refused(path, "training={epoch: 2}").startswith(
        "--set training={epoch: 2}: training.epoch: unknown key 'epoch'"
    )


def test_one_plugin_stands_twice_under_labels(path):
    config = load_config(
        path, ["explainers.few={use: lime, samples: 5}", "explainers.lime={samples: 9}"]
    )
    few, many = config.explainers["few"], config.explainers["lime"]
    assert (few.name, few.samples, many.samples) == ("lime", 5, 9)
    assert config.resolved()["explainers"]["few"]["use"] == "lime"


def test_a_plugin_file_is_used(path, tmp_path):
    plugin = tmp_path / "flat.py"
    plugin.write_text(
        "from dataclasses import dataclass\n"
        "from xaibench.explainers.base import Explainer\n"
        "from xaibench.registry import register\n\n"
        '@register("explainer")\n@dataclass(frozen=True)\n'
        'class Flat(Explainer):\n    """Flat."""\n\n    power: int = 2\n\n'
        "    def attribute(self, model, batch):\n        return batch.images.mean(1)\n"
    )
    config = load_config(path, [f"plugins=[{plugin}]", "explainers.flat={power: 3}"])
    assert config.explainers["flat"].power == 3
    assert "unknown key 'powr'" in refused(path, f"plugins=[{plugin}]", "explainers.flat={powr: 3}")


def test_the_resolved_config_reads_back_the_same(path, tmp_path):
    config = load_config(
        path,
        [
            "dataset.synthetic={root: some/where, shortcut_rate: 0.9}",
            "images={outcome: correct, confidence: [{low: 0, high: 0.5, count: 4}]}",
            "metrics.insertion={fill: 0.5}",
            "metrics.blurred={use: deletion, fill: 'blur(7,2.5)', space: logit}",
            "segments.lab=false",
        ],
    )
    again = tmp_path / "again.yaml"
    again.write_text(dump(config))
    assert load_config(again) == config
    assert dump(load_config(again)) == again.read_text()
    written = yaml.safe_load(again.read_text())
    assert written["dataset"]["synthetic"]["train"] == 6000  # a default
    assert written["training"]["augment"]["rotation"] == 5


def test_a_config_is_frozen(path):
    config = load_config(path)
    with pytest.raises(ValidationError, match="frozen"):
        config.seed = 1
    with pytest.raises(dataclasses.FrozenInstanceError):
        config.metrics["deletion"].steps = 9
    with pytest.raises(ValidationError, match="frozen"):
        config.training.epochs = 9
    with pytest.raises(ValidationError, match="frozen"):
        config.images.count = 9


def test_numbers_are_read_as_yaml_writes_them(path):
    config = load_config(path, ["training.learning_rate=1", "metrics.deletion.fill=0"])
    assert config.training.learning_rate == 1.0
    assert config.metrics["deletion"].fill == 0


def test_superpixels_have_an_id_of_their_options():
    assert SegmentOptions().id == "slic(50,10,1,lab)"
    assert SegmentOptions(lab=False, compactness=0.5).id == "slic(50,0.5,1)"


def test_unknown_names_and_keys_are_told_before_torch_is_imported(path):
    code = """
import sys
from pathlib import Path
from xaibench.config.reading import load_config
from xaibench.errors import UserError
for mistake in sys.argv[2:]:
    try:
        load_config(Path(sys.argv[1]), [mistake])
    except UserError:
        continue
    sys.exit(f"{mistake} was taken")
assert "torch" not in sys.modules
"""
    mistakes = ["explainers.grdacam=", "metrics.x=", "model.use=x", "nmae=1", "training.epochs=x"]
    subprocess.run([sys.executable, "-c", code, str(path), *mistakes], check=True)


@pytest.mark.parametrize("shipped", sorted(CONFIGS.glob("*.yaml")), ids=lambda path: path.stem)
def test_a_shipped_config_loads(shipped, monkeypatch):
    monkeypatch.chdir(CONFIGS.parent)
    for outside in re.findall(r"\.\./[^,}\s]+", shipped.read_text()):
        if not Path(outside).exists():
            pytest.skip(f"{outside}, which it names, is not there")
    config = load_config(shipped)
    assert config.name == shipped.stem
    assert {"random", "center_prior"} <= set(config.explainers)


@pytest.mark.parametrize(
    ("older", "engine"),
    [("none", "eager"), ("compile", "inductor"), ("cuda_graph", "cuda_graph")],
)
def test_configs_of_older_runs_are_read(older, engine):
    config = load_config(CONFIGS / "tiny.yaml", [f"acceleration={older}"])
    assert config.engine == engine
    assert "acceleration" not in config.resolved()
