"""Files of every format and encoding that people have, and what is said about those that are none."""

import codecs
import gzip
import json
from pathlib import Path

import pytest

from app.errors import DataError
from app.families.tables.prepared_table import prepare
from app.families.tables.raw_table import RawTable
from app.families.tables.read_table import read_table
from app.families.tables.table_spec import TableSpec
from service_tests.families.tables.made_up import csv_text, plain

pa = pytest.importorskip("pyarrow", reason="an extra: pip install 'innerloop-server[tables]'")
COLUMNS = plain()
TEXT = csv_text(COLUMNS)
LINES = TEXT.splitlines()


def read(folder: Path, content: str | bytes, name: str = "t.csv") -> RawTable:
    file = folder / name
    file.write_bytes(content.encode() if isinstance(content, str) else content)
    return read_table(file)


@pytest.mark.parametrize(
    ("content", "form"),
    [
        (TEXT, "CSV, separated by commas, UTF-8"),
        (TEXT.encode("utf-8-sig"), "CSV, separated by commas, UTF-8"),
        (TEXT.encode("utf-16"), "CSV, separated by commas, UTF-16"),
        (TEXT.encode("utf-16-le"), "CSV, separated by commas, UTF-16"),
        (TEXT.encode("utf-16-be"), "CSV, separated by commas, UTF-16"),
        (TEXT.encode("utf-32"), "CSV, separated by commas, UTF-32"),
        (codecs.BOM_UTF32_BE + TEXT.encode("utf-32-be"), "CSV, separated by commas, UTF-32"),
        (TEXT.replace("t1,", "Größe,").encode("cp1252"), "CSV, separated by commas, Windows-1252"),
        (csv_text(COLUMNS, ";"), "CSV, separated by semicolons, UTF-8"),
        (csv_text(COLUMNS, "\t"), "CSV, separated by tabs, UTF-8"),
        (csv_text(COLUMNS, "|"), "CSV, separated by bars, UTF-8"),
        (gzip.compress(TEXT.encode()), "CSV, separated by commas, UTF-8"),
        (TEXT.replace("\n", "\r\n"), "CSV, separated by commas, UTF-8"),
        (TEXT.replace("\n", "\n\n"), "CSV, separated by commas, UTF-8"),
        (TEXT.replace("\n", "\r"), "CSV, separated by commas, UTF-8"),
        ("\n \n,,\n" + TEXT, "CSV, separated by commas, UTF-8"),
        (TEXT.replace("\n", ",\n"), "CSV, separated by commas, UTF-8"),
        ("sep=;\n" + csv_text(COLUMNS, ";"), "CSV, separated by semicolons, UTF-8"),
    ],
)
def test_csv_of_every_dialect_has_the_same_rows(tmp_path: Path, content: str | bytes, form: str) -> None:
    table = read(tmp_path, content)
    assert table.form == form
    assert [*table.columns] == ["id", "x", "y"]
    assert table.columns["x"].tolist() == [str(value) for value in COLUMNS["x"]]


def test_quotes_hold_delimiters_and_line_breaks(tmp_path: Path) -> None:
    table = read(tmp_path, 'id,note\na,"one, two"\nb,"three\nfour"\nc,"say ""hi"""\n')
    assert table.columns["note"].tolist() == ["one, two", "three\nfour", 'say "hi"']
    assert table.place(2) == "line 5"


def test_a_stray_quote_does_not_swallow_rows(tmp_path: Path) -> None:
    lines = [*LINES]
    lines[10], lines[50] = '"' + lines[10], lines[50].replace(",", '",', 1)
    with pytest.raises(
        DataError, match=r"t\.csv, line 11, id: expected one cell between quotes, got 41 lines that look"
    ):
        read(tmp_path, "\n".join(lines))
    lines[50] = LINES[50]
    with pytest.raises(DataError, match=r"t\.csv, line 11: expected a quote that closes, got a cell of 171 lines that"):
        read(tmp_path, "\n".join(lines))


def test_a_cell_of_many_lines_is_named(tmp_path: Path) -> None:
    table = read(tmp_path, 'id,note\na,short\nb,"one\ntwo\nthree\nfour\nfive"\n')
    assert table.notes == ("the cell note of line 3 has 5 lines",)
    assert table.columns["note"].tolist() == ["short", "one\ntwo\nthree\nfour\nfive"]


@pytest.mark.parametrize("size", [200_000, 20_000_000])
def test_a_cell_of_a_book_is_an_error(tmp_path: Path, size: int) -> None:
    with pytest.raises(DataError, match=r"t\.csv, line 3: expected cells of ordinary length, got one of more"):
        read(tmp_path, f"id,x\na,1\nb,{'z' * size},3\n")


def test_lines_are_counted_from_the_top(tmp_path: Path) -> None:
    table = read(tmp_path, "sep=,\n\nid,x\na,1\n\nb,2\n")
    assert [table.place(0), table.place(1)] == ["line 4", "line 6"]


def test_missing_cells(tmp_path: Path) -> None:
    table = read(tmp_path, 'id,x\na,\nb,NA\nc,"NaN"\nd,.\ne,0\n')
    assert table.columns["x"].tolist() == [None, None, None, None, "0"]


def test_words_for_missing_values_are_named_where_they_may_be_categories(tmp_path: Path) -> None:
    table = read(tmp_path, "id,oil,x,day\na,None,NA,2026-01-01\nb,new,1,NA\nc,NA,2,2026-01-02\n")
    assert table.columns["oil"].tolist() == [None, "new", None]
    assert table.columns["x"].tolist() == [None, "1", "2"]
    assert table.notes == ("NA and None in the column oil count as missing: write another word if they are categories",)


def test_a_column_without_a_name_is_left_out(tmp_path: Path) -> None:
    table = read(tmp_path, ",id,x\n1,a,2\n2,a,3\n")
    assert [*table.columns] == ["id", "x"]
    assert table.notes == ("the column without a name is left out",)


def test_json_lines_have_the_types_of_json(tmp_path: Path) -> None:
    rows = [{"id": "a", "x": 1, "sick": True}, {"id": "b", "sick": None}]
    table = read(tmp_path, "".join(json.dumps(row) + "\n\n" for row in rows), "t.jsonl")
    assert table.form == "JSON lines, UTF-8"
    assert {name: values.tolist() for name, values in table.columns.items()} == {
        "id": ["a", "b"],
        "x": [1, None],
        "sick": [True, None],
    }
    assert table.place(1) == "line 3"


def test_a_number_that_python_does_not_read_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"line 2: expected numbers of fewer digits, got a whole number of tho"):
        read(tmp_path, f'{{"x": 1}}\n{{"x": {"9" * 5000}}}\n', "t.jsonl")


def test_parquet(tmp_path: Path) -> None:
    from pyarrow import parquet

    parquet.write_table(pa.table(COLUMNS), tmp_path / "t.parquet")
    table = read_table(tmp_path / "t.parquet")
    assert table.form == "Parquet"
    assert table.columns["x"].tolist() == COLUMNS["x"]


def test_a_folder_has_a_file_for_each_task(tmp_path: Path) -> None:
    (tmp_path / "notes.md").write_text("not a table")
    (tmp_path / "anna.csv").write_text("x,y\n1,2\n3,4\n")
    (tmp_path / "bert.csv.gz").write_bytes(gzip.compress(b"x,y\n5,6\n"))
    table = read_table(tmp_path)
    assert table.columns["file"].tolist() == ["anna", "anna", "bert"]
    assert table.place(2) == "bert.csv.gz, line 2"
    (tmp_path / "carl.csv").write_text("x,z\n1,2\n")
    with pytest.raises(DataError, match=r"expected the columns x, y in each file, got x, z in carl\.csv"):
        read_table(tmp_path)


def test_the_files_of_a_folder_have_one_format(tmp_path: Path) -> None:
    (tmp_path / "anna.csv").write_text("x,y\n1,2\n")
    (tmp_path / "bert.jsonl").write_text('{"x": 1, "y": 2}\n')
    with pytest.raises(DataError, match=r"one format, got CSV in anna\.csv and JSON lines in bert\.jsonl: write all"):
        read_table(tmp_path)


def test_other_files_of_a_folder_are_left_out(tmp_path: Path) -> None:
    for name in ("README.txt", "._anna.csv", "license.txt"):
        (tmp_path / name).write_text("not a table")
    (tmp_path / "anna.CSV").write_text("x,y\n1,2\n")
    (tmp_path / "bert.csv").write_text("x,y\n5,6\n")
    (tmp_path / "carl.csv").write_text("x,y\n")
    (tmp_path / "dora.csv").write_text("")
    table = read_table(tmp_path)
    assert table.columns["file"].tolist() == ["anna", "bert"]
    assert table.notes == ("carl.csv has no rows: left out", "dora.csv has no rows: left out")
    (tmp_path / "bert.txt").write_text("x,y\n7,8\n")
    with pytest.raises(DataError, match=r"expected files of different names, got bert\.csv and bert\.txt: rename"):
        read_table(tmp_path)


def test_names_of_columns_are_composed(tmp_path: Path) -> None:
    assert [*read(tmp_path, "id,gro\u0308\u00dfe\na,1\n").columns] == ["id", "gr\u00f6\u00dfe"]


def test_spaces_around_names_of_columns_are_left_out(tmp_path: Path) -> None:
    (tmp_path / "t.jsonl").write_text('{" id": "a", "x ": 1}')
    assert [*read_table(tmp_path / "t.jsonl").columns] == ["id", "x"]
    assert read_table(tmp_path / "t.jsonl").check_has("--task", " id") == "id"
    (tmp_path / "t.jsonl").write_text('{"id": "a", "": 1}')
    with pytest.raises(DataError, match=r"^t.jsonl: expected a name for each column, got one without"):
        read_table(tmp_path / "t.jsonl")


def test_frames() -> None:
    pandas = pytest.importorskip("pandas")
    frame = pandas.DataFrame({"id": ["a", "b"], "x": [1, 2], "mixed": [1, "b"], 7: [None, 2.5]})
    table = read_table(frame)
    assert [*table.columns] == ["id", "x", "mixed", "7"]
    assert table.columns["x"].tolist() == [1, 2]
    assert read_table(frame.set_index("id")).columns["id"].tolist() == ["a", "b"]
    assert read_table({"id": ["a"], "x": [1]}).columns["x"].tolist() == [1]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", "expected a header and rows, got an empty file"),
        ("\n \n", "expected a header and rows, got an empty file"),
        ("id,x,y\n", "t.csv: expected at least 1 row below the header, got none"),
        ("id\n1\n2\n", "expected at least 2 columns, got 1 in the line 'id': separate them by commas, semicolons"),
        ("1,2,3\n4,5,6\n", "t.csv, line 1: expected the names of the columns, got 1,2,3: add a first line"),
        ("id,x,x\na,1,2\n", 't.csv: expected columns of different names, got two called "x": rename one'),
        ("id,,x\na,1,2\n", "t.csv, line 1: expected a name for each column, got none for column 2"),
        ("id,x\na,1,2\nb,1,2\n", "line 1: expected a name for each column, got 2, but 3 cells in the first row: add"),
        ("\n".join([*LINES[:5], LINES[5] + ",9"]), 't.csv, line 6: expected 3 cells, got 4 in "t0,'),
        ("\n".join([*LINES[:5], "t0,1", *LINES[6:]]), 'line 6: expected 3 cells, got 2 in "t0,1": add the missing'),
        ("a,b\n\n\n1,2\n1,2,3\n", "t.csv, line 5: expected 2 cells, got 3"),
        (b"PK\x03\x04...", "got an Excel workbook or a zip archive: save the sheet as CSV, or unpack the archive"),
        (b"%PDF-1.4", "got a PDF: save the table as CSV"),
        (b"SQLite format 3\0", "got an SQLite database: export the table as CSV"),
        (b"\x89PNG\r\n\x1a\n" + bytes(100), "expected a table: CSV, Parquet, JSON lines, or a folder"),
        (bytes(range(256)), "got bytes that are no text"),
        (gzip.compress(TEXT.encode())[:-20], 'expected a file that can be read, got "Compressed file ended'),
        (b"PAR1" + bytes(40), "t.csv: the Parquet file is cut off or damaged"),
        ('{"id": 1}\n{"id":\n', 't.csv, line 2: expected a JSON object, got "{\\"id\\":": write one object on each'),
        ('{"id": 1}\n[2]\n', "t.csv, line 2: expected a JSON object"),
        ("{}\n{}\n", "t.csv: expected objects with values, got empty objects only"),
        ('{"id": ' + "[" * 100_000 + "\n", "t.csv, line 1: expected a JSON object, got lists inside lists too deep"),
        ('{"id": 1, "id": 2}\n', 't.csv, line 1: expected each name once, got two of "id"'),
    ],
)
def test_what_is_no_table(tmp_path: Path, content: str | bytes, message: str) -> None:
    with pytest.raises(DataError) as error:
        read(tmp_path, content)
    assert message in str(error.value)
    assert "\n" not in str(error.value)


def test_a_json_array_is_no_table(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="got a JSON array: write one object on each line"):
        read(tmp_path, '[{"id": 1}]', "t.json")


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    (tmp_path / "visits.csv").write_text(TEXT)
    with pytest.raises(DataError, match=r"got no such file: did you mean .*/visits\.csv\?"):
        read_table(tmp_path / "visit.csv")
    with pytest.raises(DataError, match="there is no folder"):
        read_table(tmp_path / "elsewhere/visits.csv")
    (tmp_path / "folder").mkdir()
    with pytest.raises(DataError, match=r"expected files that end in \.csv"):
        read_table(tmp_path / "folder")


@pytest.mark.parametrize("thing", [3, None, {"id": [1, 2], "x": [1]}])
def test_what_is_no_frame(thing: object) -> None:
    with pytest.raises(DataError, match="expected a path, a DataFrame or a dict of columns"):
        read_table(thing)


def test_frames_that_cannot_be_used() -> None:
    pandas = pytest.importorskip("pandas")
    frame = pandas.DataFrame({"id": ["a"], "x": [1]})
    with pytest.raises(DataError, match='two called "x"'):
        read_table(pandas.concat([frame, frame[["x"]]], axis=1))
    with pytest.raises(DataError, match="at least 1 row"):
        read_table(frame[:0])
    with pytest.raises(DataError, match="expected a DataFrame, got a Series"):
        read_table(frame["x"])


def test_spaces_around_names_that_the_user_gives_are_left_out() -> None:
    columns = {" id ": [f"t{row // 4}" for row in range(24)], "x ": [*range(24)], " y": [row % 7 for row in range(24)]}
    table = prepare(read_table(columns), TableSpec(" id ", " y", ("x ",)))
    assert (table.spec.task, table.spec.target, [each.name for each in table.inputs]) == ("id", "y", ["x"])
