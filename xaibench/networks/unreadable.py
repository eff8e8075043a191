"""What a file is that gave no weights, told by looking at its bytes: nothing in it is run."""

from __future__ import annotations

import pickletools
import re
import zipfile
from collections.abc import Iterator
from io import BufferedIOBase
from pathlib import Path

TORCHSCRIPT = "a TorchScript archive (use: exported)"
EXPORT = "a torch.export archive (use: exported)"
TENSORS = "a file of tensors"

_HEAD = 4096  # bytes that tell most kinds
_LEGACY = 5  # pickles that a torch.save before 1.6 puts one behind the other
_MAGIC = {
    b"version https://git-lfs": "a Git LFS pointer",
    b"\x1f\x8b": "a gzip archive",
    b"\x89HDF": "an HDF5 file",
    b"7z\xbc\xaf": "a 7z archive",
    b"\x28\xb5\x2f\xfd": "a Zstandard archive",
}
_PAGE = re.compile(rb"\s*(<!--.*?-->\s*)*<(!doctype\s+html|html|head|body)\b", re.I | re.S)
# What tensors, and the plain values beside them, are pickled by.
_DATA = re.compile(
    r"torch\._utils\._rebuild_\w+|torch\._tensor\._rebuild_\w+|torch\.storage\.\w*Storage"
    r"|torch\.(\w*Storage|Size|Tensor|device|[a-z]*(int|float|complex)\d+\w*|bool|half|double|long)"
    r"|torch\.nn\.parameter\.(Parameter|Buffer)|torch\.serialization\._get_layout"
    r"|collections\.(OrderedDict|Counter|defaultdict)|_codecs\.encode|argparse\.Namespace"
    r"|numpy\.dtype|numpy\.dtypes\.\w+|numpy\._?core\.multiarray\.scalar"
    r"|builtins\.(set|frozenset|bytearray|slice|complex|dict|list|tuple|int|float|str|bool)"
)
_SAME_MODULE = {"posix": "os", "nt": "os", "__builtin__": "builtins"}
_PUTS = ("PUT", "BINPUT", "LONG_BINPUT", "MEMOIZE")
_GETS = ("GET", "BINGET", "LONG_BINGET")

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
    "a pickle that": "never loaded here: where you trust it, load it with "
    "weights_only=False and save its state_dict() alone",
}


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
        whole, code = _code(file)
    if code is not None and (whole or head[0] == 0x80):
        return f"a pickle that holds code: {code}"
    if head[0] == 0x80 and head[1:2] <= b"\x05":
        return "a truncated pickle" if not whole else TENSORS
    return "a text file" if _is_text(head) else "no kind of file that holds weights"


def mend(what: str) -> str:
    """Return ``; ...``, what to do about a file of some kind; empty where nobody knows."""
    return next((f"; {said}" for start, said in _MENDS.items() if what.startswith(start)), "")


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
            pickled = next((n for n in names if n.rpartition("/")[2] == "data.pkl"), None)
            if pickled is None:
                return "a ZIP without tensors"
            with archive.open(pickled) as file:
                whole, code = _code(file)
            if code is not None:
                return f"a pickle that holds code: {code}"
            if not whole or archive.testzip() is not None:
                return "a damaged ZIP"
            folder = pickled.removesuffix("data.pkl")
            tensors = any(name.startswith(f"{folder}data/") for name in names)
            return TENSORS if tensors else "a ZIP without tensors"
    except (zipfile.BadZipFile, EOFError):
        return "a truncated ZIP"
    except (OSError, ValueError, NotImplementedError, RuntimeError):
        return "a damaged ZIP"


def _code(file: BufferedIOBase) -> tuple[bool, str | None]:
    """Return whether a pickle is whole, and the first global in it that is no part of tensors."""
    whole = False
    for _ in range(_LEGACY):
        try:
            for name in _globals(file):
                if not _DATA.fullmatch(name):
                    return whole or _ends(file), name
        except (ValueError, IndexError, OverflowError, UnicodeDecodeError):
            break  # behind the pickles of an old file lie bare numbers
        whole = True
    return whole, None


def _ends(file: BufferedIOBase) -> bool:
    try:
        for _ in _globals(file):
            pass
    except (ValueError, IndexError, OverflowError, UnicodeDecodeError):
        return False
    return True


def _globals(file: BufferedIOBase) -> Iterator[str]:
    """Yield ``module.name`` of each global that a pickle asks for, in its order."""
    pushed: list[object] = [None, None]
    memo: dict[object, object] = {}
    for code, argument, _ in pickletools.genops(file):
        if code.name in ("GLOBAL", "INST"):
            yield _spelled(*str(argument).split(" ", 1))
        elif code.name == "STACK_GLOBAL":
            yield _spelled(*pushed[-2:])
        elif code.name.startswith("EXT"):
            yield f"copyreg extension {argument}"
        elif code.name in _PUTS:
            memo[len(memo) if argument is None else argument] = pushed[-1]
            continue
        if code.name in _GETS:
            pushed.append(memo.get(argument))
        elif code.stack_after:
            pushed.append(argument if isinstance(argument, str) else None)


def _spelled(module: object, name: object) -> str:
    """Return a global as people write it; a name that is put together on the way is hidden."""
    if not isinstance(module, str) or not isinstance(name, str):
        return "a hidden name"
    return f"{_SAME_MODULE.get(module, module)}.{name}"


def _is_text(head: bytes) -> bool:
    try:
        text = head.decode("utf-8")
    except UnicodeDecodeError as error:
        if error.start < len(head) - 4:  # a letter may be cut at the end of what was read
            return False
        text = head[: error.start].decode("utf-8")
    return all(letter.isprintable() or letter in "\r\n\t\f" for letter in text)
