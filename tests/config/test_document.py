"""A document knows where each value was written, whether in the file or in a ``--set``."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from xaibench.config.document import Document
from xaibench.errors import UserError

TEXT = """\
# a comment
name: one
nested:
  list: [1, 2]
  deep: {x: 1.5, y: null}
many:
  - a
  - {b: true}
"""


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "c.yaml"
    path.write_text(TEXT)
    return path


def refused(path: Path, *overrides: str) -> str:
    with pytest.raises(UserError) as caught:
        Document.read(path, overrides)
    return str(caught.value)


def test_data_are_plain(path):
    assert Document.read(path).data == {
        "name": "one",
        "nested": {"list": [1, 2], "deep": {"x": 1.5, "y": None}},
        "many": ["a", {"b": True}],
    }


@pytest.mark.parametrize(
    ("place", "line", "key"),
    [
        (("name",), ":2", "name: "),
        (("nested", "list", 1), ":4", "nested.list.1: "),
        (("nested", "deep", "y"), ":5", "nested.deep.y: "),
        (("many", 1, "b"), ":8", "many.1.b: "),
        (("nested", "deep", "absent"), ":5", "nested.deep.absent: "),
        (("absent",), "", "absent: "),
        ((), "", ""),
    ],
)
def test_an_error_begins_with_the_line_of_its_place(path, place, line, key):
    assert str(Document.read(path).error(place, "is wrong")) == f"{path}{line}: {key}is wrong"


def test_values_are_set_over_the_file_with_their_yaml_type(path):
    document = Document.read(
        path, ["nested.deep.x=2", "new.section.key=[a, b]", "name=", "many={q: 1}"]
    )
    assert document.at(("nested", "deep")) == {"x": 2, "y": None}
    assert document.at(("new", "section", "key")) == ["a", "b"]
    assert document.at(("name",)) is None
    assert document.at(("many",)) == {"q": 1}
    assert not document.has(("absent",))


def test_an_error_in_a_set_value_names_the_set(path):
    document = Document.read(path, ["nested={deep: {x: 9}}", "new.key=3"])
    for place in (("nested",), ("nested", "deep", "x")):
        said = str(document.error(place, "is wrong"))
        assert said == f"--set nested={{deep: {{x: 9}}}}: {'.'.join(place)}: is wrong"
    assert str(document.error(("new",), "is wrong")).startswith("--set new.key=3: new: ")
    assert str(document.error(("many",), "is wrong")).startswith(f"{path}:6: ")


def test_the_last_set_of_a_key_counts(path):
    document = Document.read(path, ["name=two", "name=three"])
    assert document.at(("name",)) == "three"
    assert str(document.error(("name",), "no")) == "--set name=three: name: no"


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("name", "--set name: must read a.b=value"),
        ("=1", "--set =1: must read a.b=value"),
        ("nested..x=1", "--set nested..x=1: must read a.b=value"),
        ("name=[1", "--set name=[1: the value is no valid YAML"),
        ("name.x=1", "--set name.x=1: name holds no keys"),
        ("nested.list.x.y=1", "--set nested.list.x.y=1: nested.list holds no keys"),
        ("name={a: 1, a: 2}", "--set name={a: 1, a: 2}:1: the key 'a' stands twice"),
    ],
)
def test_a_mistyped_set_is_refused(path, override, message):
    assert refused(path, override) == message


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("name: one\nname: two\n", ":2: the key 'name' stands twice"),
        ("a:\n  b: 1\n  c: 2\n  b: 3\n", ":4: the key 'b' stands twice"),
        ("name: [1,\nother: 2\n", ":3: no valid YAML: "),
        ("a: 1\n\tb: 2\n", ":2: no valid YAML: "),
        ("- one\n- two\n", ": must be a mapping of keys to values"),
        ("only words\n", ": must be a mapping of keys to values"),
        ("1: one\n", ":1: the key 1 must be text"),
        ("---\n", ": must be a mapping of keys to values"),
    ],
)
def test_a_broken_file_is_refused_with_its_line(path, text, message):
    path.write_text(text)
    said = refused(path)
    assert said.startswith(f"{path}{message}")
    assert "\n" not in said


@pytest.mark.parametrize("text", ["", "# nothing but a comment\n"])
def test_an_empty_file_holds_nothing(path, text):
    path.write_text(text)
    assert not Document.read(path).data


def test_bytes_that_are_no_text_are_refused(path):
    path.write_bytes(b"a: 1\nname: \xff\xfe\n")
    assert refused(path) == f"{path}:2: is no UTF-8 (byte 0xff); save it as UTF-8"


def test_a_missing_file_is_named_with_the_working_directory(tmp_path):
    missing = tmp_path / "no.yaml"
    assert refused(missing) == f"{missing}: no such config (working directory {Path.cwd()})"
    assert refused(tmp_path) == f"{tmp_path}: is a folder; name a config, a YAML file"


def laughs(levels: int) -> str:
    """Return anchors of ten aliases each to the one before."""
    lines = ["a0: &a0 [x]"]
    for level in range(1, levels):
        inside = ", ".join([f"*a{level - 1}"] * 10)
        lines.append(f"a{level}: &a{level} [{inside}]")
    return "\n".join(lines)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (laughs(30), r"with its aliases \(\*\) written out the config has over 100000 values"),
        ("[" * 100_000, "is nested more than 50 levels deep"),
        ("a: " + "[" * 60 + "]" * 60, ":1: is nested more than 50 levels deep"),
        ("a: 1\n" + "".join(f"{' ' * at}b:\n" for at in range(900)), "more than 50 levels"),
        ("a: &x [*x]", r":1: an alias \(\*\) stands inside its own anchor"),
        ("# " + "x" * 2_000_000, "has 2000002 bytes; a config has at most 1048576"),
        ("a: 1\nb: \x00", "special characters are not allowed"),
        ('a: "\\0"', r":1: '\\x00' holds a character that is no text"),
        ('a: "\\ud800"', "holds a character that is no text"),
        (f"a: {10**40}", r":1: the number 1000\S+ is too large"),
        ("a: !!int x", ":1: 'x' is no valid int; quote text"),
        ('a: !!int ""', ":1: '' is no valid int"),
        ("a: !!timestamp x", ":1: 'x' is no valid timestamp"),
        ("a: !!bool maybe", ":1: 'maybe' is no valid bool"),
        ("? [a]\n: 1", ":1: a key must be text, and is a list or a mapping"),
    ],
    ids=range(15),
)
def test_what_nobody_means_is_refused_at_once(path, text, said):
    path.write_text(text)
    begun = time.monotonic()
    with pytest.raises(UserError, match=said) as caught:
        Document.read(path)
    assert time.monotonic() - begun < 10
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 400


def test_anchors_as_people_use_them_are_read(path):
    path.write_text("a: &few {x: 1, y: [1, 2]}\n" + "".join(f"b{i}: *few\n" for i in range(500)))
    document = Document.read(path)
    assert document.data["b499"] == {"x": 1, "y": [1, 2]}


def test_an_override_is_held_to_the_same(path):
    assert "is nested more than 50 levels deep" in refused(path, f"a={'[' * 100_000}")
    assert "written out the config has over 100000" in refused(path, f"a={flow_laughs(30)}")


def flow_laughs(levels: int) -> str:
    lists = ["&a0 [x]"]
    for level in range(1, levels):
        inside = ", ".join([f"*a{level - 1}"] * 10)
        lists.append(f"&a{level} [{inside}]")
    return f"[{', '.join(lists)}]"


@pytest.mark.parametrize("text", ["1e-4", "1E-4", "0.1e-3", "1.e-4", "100e-6"])
def test_a_number_with_an_exponent_is_one(tmp_path, text):
    (tmp_path / "a.yaml").write_text(f"rate: {text}\n")
    document = Document.read(tmp_path / "a.yaml", [f"other={text}"])
    assert document.data == {"rate": pytest.approx(1e-4), "other": pytest.approx(1e-4)}


@pytest.mark.parametrize("text", ["e4", "1e", "1e-4x", "v1e4"])
def test_what_only_looks_like_one_stays_text(tmp_path, text):
    (tmp_path / "a.yaml").write_text(f"name: {text}\n")
    assert Document.read(tmp_path / "a.yaml").data == {"name": text}
