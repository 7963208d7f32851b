"""The files of ``gatesocket init``, filled in."""

from pathlib import Path

import pytest

from gatesocket.scaffold import text
from gatesocket.scaffold.text import Values, fill


@pytest.mark.parametrize(
    ("source", "values", "expected"),
    [
        ("a: {{ b }} and {{ b }}", {"b": "1"}, "a: 1 and 1\n"),
        ("  - {{ each }} of {{ all }}", {"each": ("1", "2"), "all": "3"}, "  - 1 of 3\n  - 2 of 3\n"),
        ("a\n- {{ none }}\nb", {"none": ()}, "a\nb\n"),
        ("a\n  #: if b\nb\n  #: end\nc", {"b": True}, "a\nb\nc\n"),
        ("a\n  #: if b\nb\n  #: end\nc", {"b": False}, "a\nc\n"),
        ("#: if a\na\n#: if b\nb\n#: end\n#: end\nc", {"a": False, "b": True}, "c\n"),
        ("#: if a\na\n#: if b\nb\n#: end\n#: end\nc", {"a": "yes", "b": ()}, "a\nc\n"),
        ("${AWS::Region} $connect {a} #: if not a line's beginning", {}, None),
    ],
    ids=["values", "several", "none", "kept", "left out", "inside of what is left out", "by a text", "other signs"],
)
def test_a_file_is_filled_in(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, source: str, values: Values, expected: str | None
) -> None:
    monkeypatch.setattr(text, "FILES", tmp_path)
    (tmp_path / "file.in").write_text(source, encoding="utf-8")
    assert fill("file", values) == (f"{source}\n" if expected is None else expected)


def test_a_value_that_is_missing_is_a_defect(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(text, "FILES", tmp_path)
    (tmp_path / "file.in").write_text("{{ a }}", encoding="utf-8")
    with pytest.raises(KeyError):
        fill("file", {})
