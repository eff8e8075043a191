"""Whatever a config or a table holds, what comes of it is the thing itself or a UserError."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml
from bad_case import SMALL
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from xaibench.config.document import Document
from xaibench.config.reading import load_config
from xaibench.config.run_config import RunConfig
from xaibench.errors import UserError
from xaibench.imaging.layouts import nih
from xaibench.imaging.splits import read_manifests
from xaibench.imaging.tables import numbers, read_table

pytestmark = pytest.mark.slow

FUZZ = settings(
    max_examples=300,
    deadline=None,
    database=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
# Characters that mean something to YAML or to tables come as often as all others together.
TELLING = st.sampled_from(list("{}[]:,-&*!|>'\"%@`#?\t\n\r \\;=.~<0123456789eE_aNul\0\ufeffü€\x85"))
TEXT = st.lists(TELLING | st.characters(), max_size=60).map("".join)
SCALARS = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=8)
    | st.sampled_from(["auto", "predicted", "pcam", "lime", "grad_cam", "deletion", "2024-01-01"])
)
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=6), inner),
    max_leaves=6,
)
PLAIN = yaml.safe_load(SMALL)
SECTIONS = [(key,) for key in PLAIN] + [
    (key, inner) for key, value in PLAIN.items() if isinstance(value, dict) for inner in value
]
TAGS = st.sampled_from(["int", "float", "bool", "timestamp", "binary", "set", "omap", "null"])


def kept_to(what, *arguments) -> object:
    """Return what comes of a call; None for a UserError, whose message is one line."""
    try:
        return what(*arguments)
    except UserError as error:
        said = str(error)
    assert len(said.splitlines()) == 1, said
    return None


@FUZZ
@given(text=TEXT)
def test_any_text_is_a_document_or_refused(tmp_path, text):
    file = tmp_path / "config.yaml"
    file.write_bytes(text.encode("utf-8", "surrogatepass"))
    found = kept_to(Document.read, file)
    assert found is None or isinstance(found.data, dict)


@FUZZ
@given(data=st.binary(max_size=80))
def test_any_bytes_are_a_document_or_refused(tmp_path, data):
    file = tmp_path / "config.yaml"
    file.write_bytes(data)
    kept_to(Document.read, file)


@FUZZ
@given(tag=TAGS, text=TEXT)
def test_any_tag_is_kept_to_or_refused(tmp_path, tag, text):
    file = tmp_path / "config.yaml"
    quoted = text.replace("'", "''")
    file.write_bytes(f"a: !!{tag} '{quoted}'".encode("utf-8", "surrogatepass"))
    kept_to(Document.read, file)


@settings(FUZZ, max_examples=150)
@given(place=st.sampled_from(SECTIONS), value=VALUES)
def test_any_value_anywhere_is_a_config_or_refused(tmp_path, place, value):
    plain = yaml.safe_load(SMALL)
    at = plain
    for key in place[:-1]:
        at = at[key]
    at[place[-1]] = value
    file = tmp_path / "config.yaml"
    file.write_text(yaml.safe_dump(plain, allow_unicode=True), encoding="utf-8")
    found = kept_to(load_config, file)
    assert found is None or isinstance(found, RunConfig)


@settings(FUZZ, max_examples=150)
@given(text=TEXT)
def test_any_set_is_kept_to_or_refused(tmp_path, text):
    file = tmp_path / "config.yaml"
    file.write_text(SMALL)
    kept_to(load_config, file, [text])
    kept_to(load_config, file, [f"training.epochs={text}"])


@FUZZ
@given(text=TEXT, encoding=st.sampled_from(["utf-8", "utf-8-sig", "utf-16", "cp1252", "utf-16-le"]))
def test_any_text_is_a_table_or_refused(tmp_path, text, encoding):
    file = tmp_path / "table.csv"
    file.write_bytes(f"path,label\n{text}".encode(encoding, "ignore"))
    found = kept_to(read_table, file)
    if found is not None:
        assert found.columns.is_unique
        assert len(found) > 0
        assert found.index.is_unique
        for name in found:
            assert len(numbers(found[name])) == len(found)


@FUZZ
@given(data=st.binary(max_size=80))
def test_any_bytes_are_a_table_or_refused(tmp_path, data):
    file = tmp_path / "table.csv"
    for begin in (b"", b"a,b\n", b"PAR1", b"PK\x03\x04", b"\xff\xfe"):
        file.write_bytes(begin + data)
        kept_to(read_table, file)


@FUZZ
@given(text=TEXT)
def test_the_layouts_keep_to_it(tmp_path, text):
    write = lambda name, header: (tmp_path / name).write_bytes(
        f"{header}\n{text}".encode("utf-8", "surrogatepass")
    )
    write(nih.ENTRIES[0], "Image Index,Finding Labels,Patient ID")
    kept_to(nih.read_entries, tmp_path / nih.ENTRIES[0])
    write(nih.BOXES, "Image Index,Finding Label,Bbox [x,y,w,h]")
    kept_to(nih.read_boxes, tmp_path / nih.BOXES)
    for name in ("train.csv", "val.csv", "test.csv"):
        write(name, "path,label,patient")
    kept_to(read_manifests, Path(tmp_path))
