"""What differs between two runs, key by key."""

from __future__ import annotations

import json

import yaml

from xaibench.store.differences import differences
from xaibench.store.finished import FinishedRun

CONFIG = {
    "name": "a",
    "training": {"epochs": 2, "copies": None},
    "explainers": {"lime": {"use": "lime", "samples": 40}, "random": {"use": "random"}},
}
MANIFEST = {
    "dataset": {"name": "toy", "checksum": "abc"},
    "model": {"use": "net", "weights_used": "none"},
    "environment": {"code": "c0", "packages": {"torch": "2.5"}, "device": "cpu"},
    "protocols": {"deletion": "deletion[steps=4]"},
}


def run(folder, config=CONFIG, manifest=MANIFEST) -> FinishedRun:
    folder.mkdir()
    (folder / "config.yaml").write_text(yaml.safe_dump(config, sort_keys=False))
    (folder / "manifest.json").write_text(json.dumps(manifest))
    return FinishedRun(folder)


def test_equal_runs_differ_in_nothing(tmp_path):
    assert differences(run(tmp_path / "a"), run(tmp_path / "b")).empty


def test_every_key_that_differs_is_a_row_and_a_section_of_one_run_is_one(tmp_path):
    config = CONFIG | {"training": {"epochs": 3, "copies": None}}
    config["explainers"] = {"random": {"use": "random"}, "cam": {"use": "cam"}}
    manifest = MANIFEST | {"dataset": {"name": "toy", "checksum": "xyz"}}
    manifest["environment"] = {"code": "c1", "packages": {"torch": "2.6"}, "device": "cpu"}
    manifest["protocols"] = {"deletion": "deletion[steps=9]"}
    found = differences(run(tmp_path / "a"), run(tmp_path / "b", config, manifest))
    assert found.to_numpy().tolist() == [
        ["config", "training.epochs", "2", "3"],
        ["config", "explainers.lime", '{"use": "lime", "samples": 40}', "not there"],
        ["config", "explainers.cam", "not there", '{"use": "cam"}'],
        ["data", "checksum", "abc", "xyz"],
        ["protocol", "deletion", "deletion[steps=4]", "deletion[steps=9]"],
        ["made by", "code", "c0", "c1"],
        ["made by", "packages.torch", "2.5", "2.6"],
    ]


def test_long_values_are_shortened(tmp_path):
    other = CONFIG | {"name": "word " * 99}
    found = differences(run(tmp_path / "a"), run(tmp_path / "b", other))
    assert len(found.loc[0, "second"]) <= 120
    assert found.loc[0, "second"].endswith("…")
