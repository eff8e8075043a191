"""The contract of a data set: a plugin that opens its files as `Data`. Imports no torch.

`FileDataset` is what data sets share whose files may be missing, `PictureDataset` what those of
radiographs in plain files share besides; `OwnPictures` what a user's own images share.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Annotated, ClassVar, Literal

from pydantic import ConfigDict, Field, NonNegativeInt

from xaibench.atomic import check_writable
from xaibench.errors import UserError, did_you_mean
from xaibench.imaging.picture_sets import PictureOptions, Records, radiograph_data
from xaibench.imaging.preprocess import CropOptions, Preprocessing, ResizeOptions
from xaibench.imaging.reading import Frames, Reading, Unwindowed
from xaibench.imaging.several_pictures import each_picture
from xaibench.imaging.split_of_images import SplitOptions
from xaibench.imaging.splits import MANIFESTS
from xaibench.phantoms.base import Phantoms
from xaibench.progress import Progress
from xaibench.types import Data, Task

Fractions = tuple[float, float, float]


class Dataset(ABC):
    """A plugin that opens a data set; its fields are the parameters that a config may set."""

    __pydantic_config__ = ConfigDict(extra="forbid", strict=True)
    kind: ClassVar[str] = "dataset"
    name: ClassVar[str]
    task: ClassVar[Task | None] = None
    """Of every `Data` that it opens, if that is known before; a config that contradicts is refused.
    """
    expected: ClassVar[Mapping[str, str]] = {}
    """Check -> why it fails, and may, for ``xaibench check``; the check must fail then."""

    def validate(self) -> None:
        """Raise UserError for what types cannot say; runs before anything loads."""

    def get(self, cache: Path, progress: Progress) -> str:
        """Fetch the files where that can be done; return what was done, or how they are had.

        Raises:
            UserError: a fetch failed.
        """
        return f"{self.name}: its files cannot be fetched; its documentation says what they are"

    def example(self, folder: Path) -> Dataset:
        """Return a small data set to try this one by, its files written below ``folder``.

        ``xaibench check`` asks for it where the files are not there. By default the data set
        itself.
        """
        return self

    @abstractmethod
    def open(self, *, seed: int, cache: Path, progress: Progress) -> Data:
        """Fetch, generate or find the files, and return the data set.

        Args:
            seed: of the run; every random draw (such as a fraction of the training set) uses it.
            cache: a folder for what may be kept between runs.
        """


@dataclass(frozen=True)
class FileDataset(Dataset):
    """A data set of files that are found, fetched, or generated in their stead.

    A subclass says where its files lie, how they are had and how they are read. It gives the fields
    their defaults, ``synthetic`` its type, and leaves ``download`` out of ``when_missing`` where it
    cannot `fetch`.

    Attributes:
        how: what a user does to have the files, in words.
        lacks: what is said of a folder without them: ``holds no train.csv``.
        fetchable: whether `fetch` can have them.
        root: the folder that holds the files; null for none.
        when_missing: what is done where they are not there.
        synthetic: the generated set that then stands in.
    """

    how: ClassVar[str]
    lacks: ClassVar[str]
    fetchable: ClassVar[bool] = False

    root: Path | None
    when_missing: Literal["error", "download", "synthesize"]
    synthetic: Phantoms

    @abstractmethod
    def find(self, root: Path) -> Path | None:
        """Return the folder, at or below ``root``, that holds the files; None without them."""

    def lacking(self, root: Path) -> str:
        """Say what a folder lacks in which nothing was found; unless overridden, `lacks`."""
        return self.lacks

    def fetch(self, progress: Progress) -> Path:
        """Fetch what is not there, and return where it is to be found; nothing by default."""
        return self.root

    @abstractmethod
    def read(self, files: Path, *, seed: int, cache: Path, progress: Progress) -> Data:
        """Return the data set whose files lie in a folder that was found."""

    def validate(self) -> None:
        if self.root is None and self.when_missing != "synthesize":
            raise UserError("root: is null: name a folder, or set when_missing to synthesize")
        if self.when_missing == "error" and self._found() is None:
            others = "download or synthesize" if self.fetchable else "synthesize"
            raise UserError(
                f"root: {self.root} {self.lacking(self.root)} (working directory {Path.cwd()}); "
                f"{self.how}, or set when_missing to {others}"
            )

    def get(self, cache: Path, progress: Progress) -> str:
        if self.fetchable and self.root is None:
            raise UserError("root: is null: name the folder that the files go to")
        there = self._fetched(progress) if self.fetchable else self._found()
        if there is None:
            return f"{self.name} is not fetched by itself: {self.how} (root: {self.root})"
        return f"{self.name}: the files are in {there}"

    def open(self, *, seed: int, cache: Path, progress: Progress) -> Data:
        self.validate()
        there = self._fetched(progress) if self.when_missing == "download" else self._found()
        if there is None:
            if not self.synthetic.root.exists():
                check_writable(self.synthetic.root, "synthetic.root")
            self.synthetic.write(progress)
            there = self.find(self.synthetic.root)
        return self.read(there, seed=seed, cache=cache, progress=progress)

    def _found(self) -> Path | None:
        return None if self.root is None else self.find(self.root)

    def _fetched(self, progress: Progress) -> Path:
        if self._found() is None and self.root is not None:
            check_writable(self.root, "root")
        fetched = self.fetch(progress)
        if (there := self.find(fetched)) is None:
            raise UserError(
                f"root: what was fetched {self.lacking(fetched)}; delete {self.root} and {self.how}"
            )
        return there


@dataclass(frozen=True)
class PictureDataset(FileDataset):
    """Radiographs in plain files with a table of labels, prepared once and split by patient.

    Attributes:
        fractions: of the images in train, valid and test; whole patients.
        split_seed: of their draw.
        manifests: a folder for the split's ``train.csv``, ``val.csv`` and ``test.csv``: read where
            they are there, else written; null for neither.
        channels: 1, or 3 for grey copied to three channels.
        allowed_bad: the share of images that may be bad; they are named and left out.
    """

    fractions: ClassVar[Fractions] = (0.8, 0.1, 0.1)

    split_seed: NonNegativeInt = 42
    manifests: Path | None = None
    channels: Literal[1, 3] = 3
    allowed_bad: Annotated[float, Field(ge=0, lt=1)] = 0.0

    @property
    @abstractmethod
    def preprocessing(self) -> Preprocessing:
        """How images are prepared."""

    @abstractmethod
    def records(self, files: Path, progress: Progress) -> Records:
        """Read the table of labels in a folder that was found."""

    def read(self, files: Path, *, seed: int, cache: Path, progress: Progress) -> Data:
        kept = self.manifests
        if kept is not None and not any((kept / name).exists() for name in MANIFESTS.values()):
            check_writable(kept, "manifests")
        split = SplitOptions(self.fractions, self.split_seed, kept)
        options = PictureOptions(self.preprocessing, self.channels, split, self.allowed_bad)
        return radiograph_data(self.records(files, progress), options, cache, progress)


@dataclass(frozen=True)
class CroppedDataset(PictureDataset):
    """Radiographs whose crop (null: none), size and shares of the split are parameters too."""

    fractions: Fractions = (0.8, 0.1, 0.1)
    crop: CropOptions | None = None
    resize: ResizeOptions = field(default_factory=ResizeOptions)

    @property
    def preprocessing(self) -> Preprocessing:
        return Preprocessing(self.crop, self.resize)

    def validate(self) -> None:
        check_fractions(self.fractions)
        super().validate()


@dataclass(frozen=True)
class OwnPictures(Dataset):
    """A user's own image files: read in grey or colour, made one size, split by patient.

    Attributes:
        root: the folder that holds the images.
        called: the data set's name in every table; null for the folder's.
        channels: 1 for grey, 3 for colour.
        bits: of the values in files of 16 bits; null for as many as the brightest needs.
        frames: which picture of a file that holds several: the first, the middle one, all (each an
            image of its own, of the file's patient and label), or error.
        unwindowed: what a DICOM file without a window shows from black to white: the values that
            its bits can hold (possible), or the lowest to the highest that are there (present).
        fractions: of the images in train, valid and test, where their folders or a table do not
            say it; whole patients.
        resize: null where all images are of one size, which they keep.
        split_seed, manifests, crop, allowed_bad: as of the radiographs.
    """

    root: Path | None = None
    called: Annotated[str, Field(min_length=1)] | None = None
    channels: Literal[1, 3] = 3
    bits: Annotated[int, Field(ge=8, le=16)] | None = None
    frames: Frames = "error"
    unwindowed: Unwindowed = "possible"
    fractions: Fractions = (0.7, 0.1, 0.2)
    split_seed: NonNegativeInt = 42
    manifests: Path | None = None
    crop: CropOptions | None = None
    resize: ResizeOptions | None = field(default_factory=ResizeOptions)
    allowed_bad: Annotated[float, Field(ge=0, lt=1)] = 0.0

    @abstractmethod
    def records(self, cache: Path, progress: Progress) -> Records:
        """Read what the files say of themselves, below ``root``."""

    def validate(self) -> None:
        if self.root is None:
            raise UserError("root: is missing; name the folder that holds the images")
        if not self.root.is_dir():
            raise UserError(f"root: {self.root} is no folder (working directory {Path.cwd()})")
        if self.resize is None and self.crop is not None:
            raise UserError(
                "resize: is null, but what crop leaves of images differs in size; set resize: "
                "{size: 224}, or leave crop out"
            )
        check_fractions(self.fractions)

    def open(self, *, seed: int, cache: Path, progress: Progress) -> Data:
        self.validate()
        options = PictureOptions(
            Preprocessing(self.crop, self.resize),
            self.channels,
            SplitOptions(self.fractions, self.split_seed, self.manifests),
            self.allowed_bad,
            Reading(self.channels == 3, self.bits, self.frames, self.unwindowed),
        )
        records = self.records(cache, progress)
        if self.frames == "all":
            records = each_picture(records, progress)
        facts = {**records.facts, "frames": self.frames, "unwindowed": self.unwindowed}
        return radiograph_data(replace(records, facts=facts), options, cache, progress)


def check_fractions(fractions: Fractions) -> None:
    """Raise UserError for shares of the splits that are not above 0 or do not add up to 1."""
    if min(fractions) <= 0 or abs(sum(fractions) - 1) > 1e-6:
        raise UserError(f"fractions: are {fractions}; three above 0 that add up to 1 are needed")


def check_findings(findings: Sequence[str], known: Sequence[str] | None = None) -> None:
    """Raise UserError for labels asked for that are none, twice the same, or not ``known``."""
    for name in findings:
        if known is not None and name not in known:
            raise UserError(f"findings: unknown {name!r}{did_you_mean(name, known)}")
    if not findings or len(set(findings)) < len(findings):
        raise UserError(f"findings: are {findings}; name one at least, and none twice")
