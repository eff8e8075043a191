"""HDF5 files, plugin files, weights, folders of results, and places that cannot be written."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

import h5py
import numpy as np
from bad_case import CACHE, OUT, SMALL, Case, config, written

TITLE = "Files and folders"
RUN = ("run", "config.yaml", *OUT)
SET = ("data", "stats", "pneumothorax", "--root", "set", *CACHE, *OUT)
TRAIN, TEST = "set/pneumothorax_train.h5", "set/pneumothorax_test.h5"
EXPLAINER = '''
from dataclasses import dataclass

from xaibench.explainers.base import Explainer
from xaibench.registry import register


@register("explainer")
@dataclass(frozen=True)
class Mine(Explainer):
    """Mine."""

    def attribute(self, model, batch):
        return batch.images.mean(1)
'''


def hdf5(**held: np.ndarray) -> Callable[[Path], object]:
    """Return what writes both files of the pneumothorax set."""

    def write(folder: Path) -> None:
        (folder / "set").mkdir()
        for name in (TRAIN, TEST):
            with h5py.File(folder / name, "w") as file:
                for key, values in held.items():
                    file[key] = values

    return write


def files(texts: Mapping[str, str | bytes]) -> Callable[[Path], object]:
    makers = [written(name, content) for name, content in texts.items()]
    return lambda folder: [make(folder) for make in makers]


def broken_off(folder: Path) -> None:
    hdf5(image=np.zeros((50, 8, 8, 1), np.uint8), label=np.eye(2)[[0, 1] * 25])(folder)
    whole = (folder / TRAIN).read_bytes()
    (folder / TRAIN).write_bytes(whole[: len(whole) // 2])


IMAGES = np.zeros((4, 8, 8, 1), np.uint8)
LABELS = np.eye(2)[[0, 1, 0, 1]]

CASES = (
    Case(
        "HDF5: a file is not there",
        SET,
        "--root set: root: set lacks pneumothorax_test.h5 (working directory …); write …, or set "
        "when_missing to synthesize",
        written(TRAIN, b""),
    ),
    Case(
        "HDF5: a file is text",
        SET,
        "set/pneumothorax_train.h5: no readable HDF5 file (…); fetch it anew",
        files({TRAIN: "image,label", TEST: "image,label"}),
    ),
    Case(
        "HDF5: a file is empty",
        SET,
        "set/pneumothorax_train.h5: no readable HDF5 file (…); fetch it anew",
        files({TRAIN: b"", TEST: b""}),
    ),
    Case(
        "HDF5: a file breaks off",
        SET,
        "set/pneumothorax_train.h5: no readable HDF5 file (…); fetch it anew",
        broken_off,
    ),
    Case(
        "HDF5: labels are left out",
        SET,
        "labels: set has images of train but no 'pneumothorax_train/label'; allowed: …",
        hdf5(image=IMAGES),
    ),
    Case(
        "HDF5: images of one axis",
        SET,
        "images: 'image' of set/pneumothorax_train.h5 is of shape (4, 8); must be (N, height, "
        "width), with channels behind or before height and width",
        hdf5(image=IMAGES[..., 0, 0], label=LABELS),
    ),
    Case(
        "HDF5: fewer labels than images",
        SET,
        "labels: 'label' of set/pneumothorax_train.h5 has 3 rows for 4 images of train; they must "
        "be as many",
        hdf5(image=IMAGES, label=LABELS[:3]),
    ),
    Case(
        "HDF5: a row of two classes",
        SET,
        "labels: 'label' of set/pneumothorax_train.h5 must have one 1 in each row, else 0; 1 of 4 "
        "rows have not, such as row 0: [1, 1]; mend or remove them",
        hdf5(image=IMAGES, label=np.array([[1, 1], [0, 1], [1, 0], [0, 1]])),
    ),
    Case(
        "HDF5: a pixel that is no number",
        SET,
        "images: 'image' of set/pneumothorax_train.h5 holds pixels in row 0 that are no number",
        hdf5(image=np.full((4, 8, 8, 1), np.nan, np.float32), label=LABELS),
    ),
    Case(
        "HDF5: too few images for a share of them",
        SET,
        "a stratified fraction of 0.1 of 4 images cannot be drawn: there are 2, 2 of the classes; "
        "add images, or name another fraction",
        hdf5(image=IMAGES, label=LABELS),
    ),
    Case("plugin: it is not there", ("check", "mine.py"), "plugin file mine.py does not exist"),
    Case(
        "plugin: it is no Python",
        ("check", "mine.py"),
        "mine.py: cannot be read as Python: '(' was never closed (<unknown>, line 1)",
        written("mine.py", "print("),
    ),
    Case(
        "plugin: it is no text",
        ("check", "mine.py"),
        "mine.py: cannot be read as Python: …",
        written("mine.py", b"\x89PNG\r\n\x1a\n\x00\xff"),
    ),
    Case(
        "plugin: it registers nothing",
        ("check", "mine.py"),
        "mine.py: no plugin; put @register('explainer') on its class",
        written("mine.py", "x = 1\n"),
    ),
    Case(
        "plugin: two in one file",
        ("check", "mine.py"),
        "mine.py: 2 plugins in one file; one plugin, one file",
        written("mine.py", EXPLAINER + EXPLAINER.replace("Mine", "Other")),
    ),
    Case(
        "plugin: its name has a dot",
        ("check", "mine.old.py"),
        "mine.old.py: its stem is the plugin's name, which has no dot; rename it",
        written("mine.old.py", EXPLAINER),
    ),
    Case(
        "plugin: it fails as it is imported",
        ("show", "mine.py"),
        "mine.py: failed to import: ModuleNotFoundError: No module named 'not_there'",
        written("mine.py", "import not_there\n" + EXPLAINER),
    ),
    Case(
        "plugin: it is a folder",
        ("list", "--plugin", "mine.py"),
        "plugin file mine.py does not exist",
        lambda folder: (folder / "mine.py").mkdir(),
    ),
    Case(
        "weights: they are not there",
        RUN,
        "…model.weights: …none.safetensors…",
        config("weights: none", "weights: none.safetensors"),
    ),
    Case(
        "weights: the file is text",
        RUN,
        "weights: bad.safetensors cannot be read: …",
        files(
            {
                "config.yaml": SMALL.replace("weights: none", "weights: bad.safetensors"),
                "bad.safetensors": "none",
            }
        ),
    ),
    Case(
        "weights: a pickle that runs code",
        RUN,
        "weights: bad.pt cannot be read: it is a pickle that holds code: os.system; no weights "
        "need it, and it is never loaded here: take them from whom you trust",
        files(
            {
                "config.yaml": SMALL.replace("weights: none", "weights: bad.pt"),
                "bad.pt": b"cos\nsystem\n(S'exit 3'\ntR.",
            }
        ),
    ),
    Case(
        "weights: a pickle of a whole network",
        RUN,
        "weights: net.pt cannot be read: it is a pickle that holds code: mine.Net; it is never "
        "loaded here; where you trust it, this saves its weights alone: python -c …",
        files(
            {
                "config.yaml": SMALL.replace("weights: none", "weights: net.pt"),
                "net.pt": b"\x80\x02cmine\nNet\n)\x81.",
            }
        ),
    ),
    Case(
        "weights: a folder without any",
        RUN,
        "…model.weights: the folder model holds none of model.safetensors, pytorch_model.bin, …",
        files(
            {
                "config.yaml": SMALL.replace("weights: none", "weights: model"),
                "model/config.json": "{}",
            }
        ),
    ),
    Case(
        "weights: a key of no file",
        RUN,
        "…model.weights_key: is of a checkpoint, and weights is 'none'; leave it out, or name a "
        "file in `weights`",
        config("weights: none", "weights: none, weights_key: ema"),
    ),
    Case(
        "results: the folder is not there",
        ("leaderboard", "none"),
        "none holds no scores.parquet; give the folder of a finished run",
    ),
    Case(
        "results: the manifest breaks off",
        ("compare", "run", "run"),
        "run/manifest.json: cannot be read (…); put the whole file back, or delete the run's "
        "folder and run it again",
        written("run/manifest.json", '{"dataset": '),
    ),
    Case(
        "results: the manifest is another program's",
        ("compare", "run", "run"),
        "run/manifest.json: names no data set; give the folder of a finished run",
        written("run/manifest.json", '{"name": "app"}'),
    ),
    Case(
        "results: the scores are no table",
        ("leaderboard", "run"),
        "run/scores.parquet: cannot be read (…); put the whole file back, or delete the run's "
        "folder and run it again",
        written("run/scores.parquet", "scores"),
    ),
    Case(
        "`--out` is a file",
        RUN,
        "--out out/small: out is a file; name another folder",
        files({"config.yaml": SMALL, "out": ""}),
    ),
    Case(
        "`--out` lies below a file",
        ("run", "config.yaml", "--out", "file/deep"),
        "--out file/deep/small: file is a file; name another folder",
        files({"config.yaml": SMALL, "file": ""}),
    ),
    Case(
        "`--out` of a search is a file",
        ("train", "config.yaml", *OUT),
        "--out out/small: out is a file; name another folder",
        files({"config.yaml": SMALL, "out": ""}),
    ),
    Case(
        "`--out` of a leaderboard is a file",
        ("leaderboard", "run", *OUT),
        "--out out: out is a file; name another folder",
        written("out", ""),
    ),
    Case(
        "`--out` of a comparison is a file",
        ("compare", "run", "run", *OUT),
        "--out out: out is a file; name another folder",
        written("out", ""),
    ),
    Case(
        "`--out` of a data set's tables is a file",
        ("data", "stats", "pcam", "--set", "when_missing=synthesize", *CACHE, *OUT),
        "--out out: out is a file; name another folder",
        written("out", ""),
    ),
    Case(
        "`--cache` is a file",
        ("data", "check", "pcam", "--set", "when_missing=synthesize", *CACHE, *OUT),
        "--cache cache: cache is a file; name another folder",
        written("cache", ""),
    ),
    Case(
        "the place of a generated set is a file",
        RUN,
        "patches exists but holds no generated set (no readable recipe.json); choose another "
        "folder or delete this one",
        files({"config.yaml": SMALL, "patches": ""}),
    ),
    Case(
        "the place of a generated set lies below a file",
        RUN,
        "synthetic.root file/patches: file is a file; name another folder",
        files({"config.yaml": SMALL.replace("root: patches", "root: file/patches"), "file": ""}),
    ),
    Case(
        "`new` into a file",
        ("new", "explainer", "mine_own", "--dir", "place"),
        "--dir place: place is a file; name another folder",
        written("place", ""),
    ),
)
