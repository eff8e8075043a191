"""Configs that are none, or say what cannot be."""

from __future__ import annotations

from pathlib import Path

from bad_case import OUT, SMALL, Case, config, written

TITLE = "Configs"
RUN = ("run", "config.yaml", *OUT)


def _sparse(folder: Path) -> None:
    with (folder / "config.yaml").open("wb") as file:
        file.truncate(100_000_000)


def _laughs() -> str:
    lines = ["a0: &a0 [x]"]
    for level in range(1, 30):
        inside = ", ".join([f"*a{level - 1}"] * 10)
        lines.append(f"a{level}: &a{level} [{inside}]")
    return "\n".join(lines)


def _regression(folder: Path) -> None:
    text = SMALL.replace("use: pcam", "use: chexpert").replace(
        "synthetic: {root: patches, train: 24, valid: 12, test: 12}", "synthetic: {root: chests}"
    )
    (folder / "config.yaml").write_text(text)


CASES = (
    Case("it is not there", RUN, "config.yaml: no such config (working directory …)"),
    Case(
        "it is a folder",
        RUN,
        "config.yaml: is a folder; name a config, a YAML file",
        lambda folder: (folder / "config.yaml").mkdir(),
    ),
    Case("it is empty", RUN, "config.yaml: name: lacks the key 'name'", written("config.yaml", "")),
    Case(
        "it is saved in Windows-1252",
        RUN,
        "config.yaml:2: is no UTF-8 (byte 0xfc); save it as UTF-8",
        written("config.yaml", "# kept\nname: für\n".encode("cp1252")),
    ),
    Case(
        "it is saved in UTF-16",
        RUN,
        "config.yaml:1: is no UTF-8 (byte 0xff); save it as UTF-8",
        written("config.yaml", SMALL.encode("utf-16")),
    ),
    Case(
        "it is a picture",
        RUN,
        "config.yaml:1: is no UTF-8 (byte 0x89); save it as UTF-8",
        written("config.yaml", b"\x89PNG\r\n\x1a\n" + bytes(range(256))),
    ),
    Case(
        "it holds a NUL",
        RUN,
        "config.yaml: no valid YAML: unacceptable character #x0000: special characters are not "
        "allowed",
        written("config.yaml", "name: a\0b\n"),
    ),
    Case(
        "it has 100 MB",
        RUN,
        "config.yaml: has 100000000 bytes; a config has at most 1048576",
        _sparse,
    ),
    Case(
        "its aliases would fill the memory",
        RUN,
        "config.yaml:…: with its aliases (*) written out the config has over 100000 values; "
        "repeat less",
        written("config.yaml", _laughs()),
    ),
    Case(
        "it is nested a thousand deep",
        RUN,
        "config.yaml: is nested more than 50 levels deep; a config has about five",
        written("config.yaml", "a: " + "[" * 1000),
    ),
    Case(
        "an alias is within itself",
        RUN,
        "config.yaml:1: an alias (*) stands inside its own anchor (&)",
        written("config.yaml", "name: &x [*x]\n"),
    ),
    Case(
        "a key stands twice",
        RUN,
        "config.yaml:14: the key 'name' stands twice",
        config(new="name: again\n"),
    ),
    Case(
        "a line begins with a tab",
        RUN,
        "config.yaml:2: no valid YAML: found character '\\t' that cannot start any token",
        written("config.yaml", "model:\n\tuse: timm\n"),
    ),
    Case(
        "a bracket is not closed",
        RUN,
        "config.yaml:4: no valid YAML: …",
        config("{count: 2}", "{count: 2"),
    ),
    Case(
        "it is a list",
        RUN,
        "config.yaml: must be a mapping of keys to values",
        written("config.yaml", "- name\n- model\n"),
    ),
    Case(
        "a number is too large for any machine",
        RUN,
        "config.yaml:14: the number 100000000000000000000 is too large; quote text",
        config(new="seed: 100000000000000000000\n"),
    ),
    Case(
        "a date is no text",
        RUN,
        "config.yaml:1: datetime.date(2024, 1, 31) is no text, number, true, false or null; "
        "quote it",
        config("small", "2024-01-31"),
    ),
    Case(
        "a key is misspelt",
        RUN,
        "config.yaml:9: training.epohcs: unknown key 'epohcs'; allowed: … (did you mean 'epochs'?)",
        config("epochs", "epohcs"),
    ),
    Case(
        "a key is left out",
        RUN,
        "config.yaml: model: lacks the key 'model'",
        config("model: {use: timm, architecture: resnet10t, weights: none}\n"),
    ),
    Case(
        "a number is text",
        RUN,
        "config.yaml:9: training.epochs: must be a valid integer, got 'many' (epochs: integer, at "
        "least 0)",
        config("epochs: 1", "epochs: many"),
    ),
    Case(
        "a number is below its bound",
        RUN,
        "config.yaml:9: training.batch_size: must be greater than 0, got -8 (batch_size: integer, "
        "above 0)",
        config("batch_size: 8", "batch_size: -8"),
    ),
    Case(
        "no such explainer",
        RUN,
        "config.yaml:11: explainers.randmo: unknown explainer 'randmo' (did you mean 'random'…",
        config("random", "randmo"),
    ),
    Case(
        "a stride that leaves gaps",
        RUN,
        "config.yaml:11: explainers.square_occlusion: stride 32 is larger than window 16: pixels "
        "between windows would have no relevance; make stride at most window",
        config("random: {draws: 2}", "square_occlusion: {window: 16, stride: 32}"),
    ),
    Case(
        "one sample where two are needed",
        RUN,
        "config.yaml:11: explainers.lime.samples: must be greater than or equal to 2, got 1 "
        "(samples: integer, at least 2)",
        config("random: {draws: 2}", "lime: {samples: 1}"),
    ),
    Case(
        "a figure that regression has not",
        RUN,
        "config.yaml:9: training.monitor: is accuracy, which regression has not (the task of "
        "chexpert); use monitor: loss",
        _regression,
    ),
    Case(
        "a single logit, of a task that is not binary",
        (*RUN, "--set", "model.single_logit=true"),
        "--set model.single_logit=true: model.single_logit: is of two classes, and the task of "
        "chexpert is regression; leave it out",
        _regression,
    ),
    Case(
        "a model a label, of images that have one label",
        RUN,
        "config.yaml:14: model_per_label: pcam has one label an image (binary); leave it out, or "
        "use a data set of several labels",
        config(new="model_per_label: true\n"),
    ),
    Case(
        "a window as large as the image",
        RUN,
        "explainers.square_occlusion: window: a square of 500 pixels covers all of images of 96 x "
        "96; at most 95",
        config("random: {draws: 2}", "square_occlusion: {window: 500}"),
    ),
    Case(
        "more superpixels than pixels",
        RUN,
        "segments.n_segments: 100000 are more than the 9216 pixels of images of 96 x 96; some "
        "dozens are usual",
        config("n_segments: 20", "n_segments: 100000"),
    ),
    Case(
        "more steps than pixels",
        RUN,
        "metrics.deletion: steps: 20000 are more than the 9216 pixels of images of 96 x 96; at "
        "most as many",
        config("steps: 4", "steps: 20000"),
    ),
    Case(
        "a target that is no class",
        RUN,
        "target: 'tumor' is no target of pcam_synthetic; allowed: … (did you mean 'tumour'?)",
        config(new="target: tumor\n"),
    ),
    Case(
        "`--set` without a value",
        ("run", "config.yaml", "--set", "seed", *OUT),
        "--set seed: must read a.b=value",
        config(),
    ),
    Case(
        "a device that there is not",
        ("run", "config.yaml", "--device", "gpu", *OUT),
        "--set device=gpu: device: must match pattern '…', got 'gpu'…",
        config(),
    ),
)
