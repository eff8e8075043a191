"""What a file is that gave no weights, told by looking at its bytes: nothing in it is run."""

from __future__ import annotations

import re
import shlex
import zipfile
from pathlib import Path

from xaibench.networks.pickled import Asked, asked_in, pickle_in
from xaibench.networks.stand_ins import foreign, is_code, is_hostile

TORCHSCRIPT = "a TorchScript archive (use: exported)"
EXPORT = "a torch.export archive (use: exported)"
TENSORS = "a file of tensors"
CODE = "a pickle that holds code"

_HEAD = 4096  # bytes that tell most kinds
_MAGIC = {
    b"version https://git-lfs": "a Git LFS pointer",
    b"\x1f\x8b": "a gzip archive",
    b"\x89HDF": "an HDF5 file",
    b"7z\xbc\xaf": "a 7z archive",
    b"\x28\xb5\x2f\xfd": "a Zstandard archive",
}
_PAGE = re.compile(rb"\s*(<!--.*?-->\s*)*<(!doctype\s+html|html|head|body)\b", re.I | re.S)
_MENDS = {
    "an HTML page": "download the file itself, not the page about it",
    "a Git LFS pointer": "fetch the file with `git lfs pull`",
    "empty": "copy or download it again",
    "a truncated": "copy or download it again",
    "a damaged": "copy or download it again",
    "a gzip": "unpack it first",
    "a 7z": "unpack it first",
    "a Zstandard": "unpack it first",
    "a ZIP without": "if the weights lie inside, unpack it first",
    "a tar": "unpack it first",
}
_HOSTILE = "; no weights need it, and it is never loaded here: take them from whom you trust"
# Of a checkpoint, of one that holds the network itself, and of a network.
_PLAIN = (
    "import torch; c = torch.load({file!r}, map_location='cpu', weights_only=False); "
    "c = c.get('state_dict', c.get('model', c)) if isinstance(c, dict) else c; "
    "torch.save(c.state_dict() if hasattr(c, 'state_dict') else c, {plain!r})"
)


def what_it_is(path: Path) -> str:
    """Return in a few words what a file is, such as ``an HTML page`` or ``a truncated ZIP``.

    Of a pickle the first global is named that no tensors need: ``a pickle that holds code:
    os.system``. It is read as a list of opcodes, and never executed.
    """
    size = path.stat().st_size
    with path.open("rb") as file:
        head = file.read(_HEAD)
    if not head:
        return "empty"
    if _PAGE.match(head):
        return "an HTML page"
    for start, what in _MAGIC.items():
        if head.startswith(start):
            return what
    if head.startswith(b"PK\x03\x04") or zipfile.is_zipfile(path):
        return _of_zip(path)
    if head[257:262] == b"ustar":
        return "a tar archive"
    if holds_safetensors(head):
        whole = 8 + int.from_bytes(head[:8], "little")
        return "a truncated safetensors file" if size <= whole else "a damaged safetensors file"
    with path.open("rb") as file:
        asked = asked_in(file)
    code = _code(asked)
    if code is not None and (asked.whole or head[0] == 0x80):
        return f"{CODE}: {code}"
    if head[0] == 0x80 and head[1:2] <= b"\x05":
        return TENSORS if asked.whole else "a truncated pickle"
    return "a text file" if _is_text(head) else "no kind of file that holds weights"


def mend(what: str, path: Path) -> str:
    """Return ``; ...``, what to do about a file of some kind; empty where nobody knows."""
    if what.startswith(CODE):
        return _HOSTILE if is_hostile(what.partition(": ")[2]) else save_plainly(path)
    return next((f"; {said}" for start, said in _MENDS.items() if what.startswith(start)), "")


def save_plainly(path: Path) -> str:
    """Return the command by which a user saves the weights alone, where the file was made."""
    plain = path.with_name(f"{path.stem}_weights.pth")
    code = _PLAIN.format(file=path.as_posix(), plain=plain.as_posix())
    # Double quotes are easier to read; a shell would look into them for these.
    said = shlex.quote(code) if set(code) & set('"$`!\\') else f'"{code}"'
    return (
        "; it is never loaded here; where you trust it, this saves its weights alone: "
        f"python -c {said}"
    )


def holds_safetensors(head: bytes) -> bool:
    """Say whether a file begins as .safetensors: the length of a header, and JSON."""
    return 2 <= int.from_bytes(head[:8], "little") < 100_000_000 and head[8:9] == b"{"


def _of_zip(path: Path) -> str:
    try:
        with zipfile.ZipFile(path) as archive:
            names = archive.namelist()
            last = {name.rpartition("/")[2] for name in names}
            if "constants.pkl" in last:
                return TORCHSCRIPT
            if last & {"archive_format", "serialized_exported_program.json"}:
                return EXPORT
            pickled = pickle_in(archive)
            if pickled is None:
                return "a ZIP without tensors"
            with archive.open(pickled) as file:
                asked = asked_in(file)
            if code := _code(asked):
                return f"{CODE}: {code}"
            if not asked.whole or archive.testzip() is not None:
                return "a damaged ZIP"
            folder = pickled.removesuffix("data.pkl")
            tensors = any(name.startswith(f"{folder}data/") for name in names)
            return TENSORS if tensors else "a ZIP without tensors"
    except (zipfile.BadZipFile, EOFError):
        return "a truncated ZIP"
    except (OSError, ValueError, NotImplementedError, RuntimeError):
        return "a damaged ZIP"


def _code(asked: Asked) -> str | None:
    """Return the name that shows most plainly that a pickle is no mere tensors; None of none."""
    names = foreign(asked.names)
    for judged in (is_hostile, is_code):
        if found := [name for name in names if judged(name)]:
            return found[0]
    return names[0] if names else None


def _is_text(head: bytes) -> bool:
    try:
        text = head.decode("utf-8")
    except UnicodeDecodeError as error:
        if error.start < len(head) - 4:  # a letter may be cut at the end of what was read
            return False
        text = head[: error.start].decode("utf-8")
    return all(letter.isprintable() or letter in "\r\n\t\f" for letter in text)
