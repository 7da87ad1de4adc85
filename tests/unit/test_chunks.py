"""A file is the same however it is cut: at borders of records, at edges of characters and of line ends."""

import csv
import io
import tempfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from activities.intake.chunks import chunks
from activities.intake.encodings import UnreadableTable, survey
from activities.intake.tabular import Record, read_records

cell = st.text(st.sampled_from('ab,;"\n é李😀'), max_size=6)
rows = st.lists(st.tuples(cell, cell, cell), max_size=15)


def read(path: Path, encoding: str, size: int) -> list[Record]:
    return [record for chunk in chunks(path, encoding, size) for record in read_records(chunk, ",", 3)]


@given(rows, st.sampled_from(["utf-8", "utf-8-sig", "utf-16", "gb18030"]), st.sampled_from(["\n", "\r\n", "\r"]))
@settings(max_examples=200, deadline=None)
def test_a_clean_file_is_read_alike_in_pieces_of_any_size(
    given_rows: list[tuple[str, str, str]], encoding: str, end: str
) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "list.csv"
        text = io.StringIO()
        csv.writer(text, quoting=csv.QUOTE_ALL, lineterminator=end).writerows([("a", "b", "c"), *given_rows])
        path.write_bytes(text.getvalue().encode(encoding))
        wanted = [list(row) for row in given_rows if any(one.strip() for one in row)]
        for size in (61, 100, 1 << 20):
            found = read(path, encoding, size)
            assert [one.cells for one in found[1:]] == wanted
            assert [one.error for one in found] == [None] * len(found)


@given(st.text(st.sampled_from('ab,"\n'), max_size=200))
@settings(max_examples=300, deadline=None)
def test_whatever_is_broken_every_line_is_told_or_taken_once(text: str) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "list.csv"
        path.write_text("x,y,z\n" + text, encoding="utf-8", newline="")
        lines = [one.line for one in read(path, "utf-8", 1 << 20)]
        assert lines == sorted(set(lines))
        assert lines[0] == 1


@pytest.mark.parametrize("text", ["Müller", "José", "ÄÖÜ Straße", "João Conceição"])
def test_a_name_in_latin_1_is_not_taken_for_chinese(tmp_path: Path, text: str) -> None:
    path = tmp_path / "list.csv"
    path.write_bytes(f"email,name\na@acme.example,{text} de Lyon à Orléans, née Lefèvre\n".encode("latin-1"))
    assert survey(path).encoding == "cp1252"


def test_a_character_at_the_edge_of_a_piece_does_not_change_what_the_file_is(tmp_path: Path) -> None:
    path = tmp_path / "list.csv"
    path.write_bytes(b"e,n\n" + b"x" * ((1 << 20) - 5) + "李".encode() * 10 + b"\n")
    assert survey(path).encoding == "utf-8"
    path.write_bytes(b"e,n\n" + b"x" * ((1 << 20) - 5) + "李小龙".encode("gb18030") * 10 + b"\n")
    assert survey(path).encoding == "gb18030"


def test_the_digest_is_that_of_the_content(tmp_path: Path) -> None:
    one, other = tmp_path / "one.csv", tmp_path / "other.csv"
    one.write_text("email\na@acme.example\n", encoding="utf-8")
    other.write_text("email\na@acme.example\n", encoding="utf-8")
    assert survey(one).digest == survey(other).digest
    other.write_text("email\nb@acme.example\n", encoding="utf-8")
    assert survey(one).digest != survey(other).digest


def test_an_encoding_that_nobody_knows_is_no_encoding(tmp_path: Path) -> None:
    path = tmp_path / "list.csv"
    path.write_text("email\n", encoding="utf-8")
    with pytest.raises(LookupError):
        survey(path, "klingon")


def test_a_folder_is_told_in_one_line(tmp_path: Path) -> None:
    with pytest.raises(UnreadableTable, match="directory"):
        survey(tmp_path)
