"""`innerloop adapt` and `innerloop predict`: each form of a file gives what the same values give in JSON."""

import csv
import io
import json
import shlex
import sys
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest

from innerloop_client import Client
from service_tests.api.requests import WAVE
from service_tests.api.test_support_rows import LABELLED, ROWS
from service_tests.api.test_tables import OBJECTS
from service_tests.cli.commands import innerloop
from service_tests.processes import ROOT

POINTS = [(x, y) for (x,), y in zip(WAVE["inputs"], WAVE["targets"], strict=True)]
EXAMPLES = "time,y\n" + "".join(f"{x},{y}\n" for x, y in POINTS)
QUERIES = "t\n-3\n1\n3\n"


def as_csv(rows: list[dict[str, Any]]) -> str:
    file = io.StringIO()
    writer = csv.DictWriter(file, list(dict.fromkeys(name for row in rows for name in row)))
    writer.writeheader()
    writer.writerows(rows)
    return file.getvalue()


def as_lines(rows: list[dict[str, Any]]) -> str:
    return "".join(f"{json.dumps(row)}\n" for row in rows)


def file_of(folder: Path, content: str | bytes, name: str = "file") -> str:
    """The path of a new file."""
    path = folder / name
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return str(path)


def adapted(*words: str) -> str:
    """The id that a command prints, alone on stdout."""
    result = innerloop("adapt", *words)
    assert result.returncode == 0, result.stderr
    (line,) = result.stdout.splitlines()
    assert len(line) == 32
    return line


def predicted(*words: str) -> list[dict[str, str]]:
    """The rows of the CSV that a command prints."""
    result = innerloop("predict", *words)
    assert result.returncode == 0, result.stderr
    assert "\r" not in result.stdout
    return list(csv.DictReader(result.stdout.splitlines()))


def expected(url: str, model: str, support: dict[str, Any], queries: list[Any], **fields: Any) -> Any:
    body = {"model": model, "support": support, "queries": queries} | fields
    return httpx.post(f"{url}/predict", json=body).raise_for_status().json()


@pytest.mark.parametrize("form", ["csv", "lines"])
def test_a_file_gives_what_json_gives(asked: str, tmp_path: Path, form: str) -> None:
    lines = form == "lines"
    examples = as_lines([{"time": x, "y": y} for x, y in POINTS]) if lines else EXAMPLES
    queries = as_lines([{"t": t} for t in (-3, 1, 3)]) if lines else QUERIES
    key = adapted("sinusoid", file_of(tmp_path, examples), "--target", "y")
    rows = predicted(key, file_of(tmp_path, queries, "queries"))
    answer = expected(asked, "sinusoid", WAVE, [[-3], [1], [3]])
    assert [float(row["target"]) for row in rows] == pytest.approx(
        [each for (each,) in answer["predictions"]], rel=1e-5
    )
    assert [row["unlike"] for row in rows] == ["false"] * 3


@pytest.mark.parametrize("form", [as_csv, as_lines])
def test_a_table_keeps_its_columns_and_types(asked: str, tmp_path: Path, form: Any) -> None:
    renamed = [{("stay" if name == "target" else name): value for name, value in row.items()} for row in ROWS]
    ids = [
        adapted("wards", file_of(tmp_path, form(ROWS))),
        adapted("wards", file_of(tmp_path, form(renamed)), "--target", "stay"),
    ]
    answer = expected(asked, "wards", {"rows": ROWS}, OBJECTS)
    for key in ids:
        rows = predicted(key, file_of(tmp_path, form(OBJECTS)))
        assert [[float(row["target"])] for row in rows] == [pytest.approx(each) for each in answer["predictions"]]


def test_labels_are_texts_in_a_csv_and_keep_their_type_in_json_lines(asked: str, tmp_path: Path) -> None:
    for form, labels in ((as_csv, ["low", "1"]), (as_lines, ["low", 1, "1"])):
        result = innerloop("adapt", "risks", file_of(tmp_path, form(LABELLED[:3])), "--json")
        assert json.loads(result.stdout)["labels"] == labels


def test_a_label_may_have_what_unicode_calls_a_new_line(asked: str, tmp_path: Path) -> None:
    rows = [{"input": [float(ink)] * 784, "label": label} for ink, label in ((0, "a\u2028"), (1, "b"))]
    key = adapted("omniglot", file_of(tmp_path, as_lines(rows)), "--target", "label")
    queries = as_lines([{"input": row["input"]} for row in rows])
    result = innerloop("predict", key, file_of(tmp_path, queries))
    assert [row["label"] for row in csv.DictReader(io.StringIO(result.stdout))] == ["a\u2028", "b"]


def test_numbers_with_names_are_taken_in_the_order_of_the_model(asked: str, tmp_path: Path) -> None:
    with Client(asked) as client:
        names = [column["name"] for column in client.model("choices").inputs["columns"]]
        stored = client.adapt("choices", episodes=[{"observations": [[1, 2, 3, 4]], "actions": [0], "rewards": [1]}])
        expected = stored.predict_proba([[1, 2, 3, 4]])
    row = dict(zip(names, [1, 2, 3, 4], strict=True))
    for columns in (names, names[::-1]):
        file = file_of(tmp_path, as_lines([{name: row[name] for name in columns}]))
        (answer,) = predicted(stored.id, file)
        assert [float(answer[f"probability_{action}"]) for action in (0, 1)] == pytest.approx(expected[0], abs=1e-6)
    wrong = innerloop("predict", stored.id, file_of(tmp_path, '{"t": 1}\n'))
    assert wrong.stderr == f"FILE: expected the columns {', '.join(names)}, got t\n"


def test_parquet(asked: str, tmp_path: Path) -> None:
    pyarrow = pytest.importorskip("pyarrow", reason="an extra: pip install 'innerloop-server[parquet]'")
    parquet = pytest.importorskip("pyarrow.parquet")
    names = list(dict.fromkeys(name for row in ROWS for name in row))
    columns = {name: [row.get(name) for row in ROWS] for name in names}
    parquet.write_table(pyarrow.table(columns | {"__index_level_0__": range(len(ROWS))}), tmp_path / "rows")
    key = adapted("wards", str(tmp_path / "rows"))
    del columns["target"]
    parquet.write_table(pyarrow.table(columns), tmp_path / "queries")
    answer = expected(asked, "wards", {"rows": ROWS}, OBJECTS)
    rows = predicted(key, str(tmp_path / "queries"))
    assert [[float(row["target"])] for row in rows] == [pytest.approx(each) for each in answer["predictions"]]


def test_parquet_that_cannot_be_sent_is_refused(tmp_path: Path, asked: str) -> None:
    pyarrow = pytest.importorskip("pyarrow", reason="an extra: pip install 'innerloop-server[parquet]'")
    parquet = pytest.importorskip("pyarrow.parquet")
    day, column = timedelta(1), pyarrow.array([1.0])
    tables = {
        ", time: expected numbers, texts, booleans, dates, bytes or lists, got duration[us]: convert the column": [day],
        ", time: expected numbers, texts, booleans, dates, bytes or lists, got struct<a: duration[us]>": [{"a": day}],
        ", time: cannot read the column as timestamp[ms]": pyarrow.array([2**50], pyarrow.timestamp("ms")),
    }
    for message, values in tables.items():
        parquet.write_table(pyarrow.table({"time": values, "target": column}), tmp_path / "rows")
        result = innerloop("adapt", "sinusoid", str(tmp_path / "rows"))
        assert (result.returncode, result.stderr.count("\n")) == (1, 1)
        assert message in result.stderr
    names = ["time", "target", "target"]
    parquet.write_table(pyarrow.Table.from_arrays([column] * 3, names=names), tmp_path / "rows")
    twice = innerloop("adapt", "sinusoid", str(tmp_path / "rows"))
    assert 'two columns are called "target", so rename or remove one' in twice.stderr


def test_a_column_may_have_a_line_break_in_its_name(asked: str, tmp_path: Path) -> None:
    for name in ("ti\nme", "ti\rme", "ti\r\nme"):
        file = file_of(tmp_path, EXAMPLES.replace("time", f'"{name}"'))
        adapted("sinusoid", file, "--target", "y")
        wrong = innerloop("adapt", "sinusoid", file_of(tmp_path, f'"{name}",y\n1,a\n'), "--target", "y")
        assert wrong.stderr.startswith("line 3, y: expected a number")


def test_parquet_needs_an_extra(asked: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    result = innerloop("adapt", "wards", file_of(tmp_path, b"PAR1..."))
    assert result.returncode == 1
    assert "pyarrow is not installed: pip install pyarrow" in result.stderr


def test_episodes_are_json_lines(asked: str, tmp_path: Path) -> None:
    episode: dict[str, Any] = {"observations": [[0.5, 0.1], [0.2, 0.3]], "actions": [0, 2]}
    observations = len(httpx.get(f"{asked}/models/names").json()["inputs"]["example"])
    episode["observations"] = [row[:1] * observations for row in episode["observations"]]
    file = file_of(tmp_path, as_lines([episode, episode]))
    key = adapted("names", file)
    queries = as_lines([{f"o{number}": 0.5 for number in range(observations)}])
    (row,) = predicted(key, file_of(tmp_path, queries, "queries"))
    assert row["action"] in "012"
    wrong = innerloop("adapt", "names", file_of(tmp_path, EXAMPLES))
    assert wrong.stderr == (
        "FILE: expected JSON lines with an episode on each, as names learns from episodes, got CSV\n"
    )


def test_the_options_of_adapt(asked: str, tmp_path: Path) -> None:
    words = ["--label", "pump 17", "--steps", "3", "--learning-rate", "0.005", "--ttl", "2h", "--pinned"]
    key = adapted("sinusoid", file_of(tmp_path, EXAMPLES), "--target", "y", "--assess", "leave_one_out", *words)
    made = httpx.get(f"{asked}/adaptations/{key}").json()
    names = ("label", "steps", "learning_rate", "pinned")
    assert [made[name] for name in names] == ["pump 17", 3, 0.005, True]
    assert made["quality"]["method"] == "leave_one_out"
    start, end = (float(made[name][11:13]) for name in ("created_at", "expires_at"))
    assert (end - start) % 24 == 2


def test_the_notes_say_what_was_done(asked: str, tmp_path: Path) -> None:
    result = innerloop("adapt", "sinusoid", file_of(tmp_path, EXAMPLES), "--target", "y")
    assert result.stderr.startswith("adapted sinusoid to 5 examples. Support loss: ")
    assert "The support loss fell. It expires at " in result.stderr


def test_stdin_is_a_file(asked: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(EXAMPLES.encode())))
    key = adapted("sinusoid", "-", "--target", "y")
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(QUERIES.encode())))
    assert len(predicted(key, "-")) == 3


def test_predictions_with_an_interval_in_a_file(asked: str, tmp_path: Path) -> None:
    key = adapted("sinusoid", file_of(tmp_path, EXAMPLES), "--target", "y")
    out = tmp_path / "out.csv"
    result = innerloop("predict", key, file_of(tmp_path, QUERIES), "--interval", "0.9", "--output", str(out))
    assert (result.stdout, result.stderr) == ("", f"wrote the predictions to {out}\n"), result.stderr
    for row in csv.DictReader(out.read_text().splitlines()):
        assert float(row["target_lower"]) < float(row["target"]) < float(row["target_upper"])


def test_a_dash_as_output_is_stdout(asked: str, tmp_path: Path) -> None:
    key, queries = adapted("sinusoid", file_of(tmp_path, EXAMPLES), "--target", "y"), file_of(tmp_path, QUERIES, "q")
    expected = innerloop("predict", key, queries).stdout
    result = innerloop("predict", key, queries, "--output", "-", folder=tmp_path)
    assert (result.stdout, result.stderr) == (expected, "")
    for words in (["adaptations", "export", key, "-"], ["drive", "--film", "-"]):
        refused = innerloop(*words, folder=tmp_path)
        assert (refused.returncode, refused.stdout) == (1, "")
    assert not (tmp_path / "-").exists()


def test_predicted_labels_keep_their_line_breaks(asked: str, tmp_path: Path) -> None:
    labels = ["a\r\nb", "a\nb", "a\rb"]
    rows = [LABELLED[index] | {"label": label} for index, label in enumerate(labels)]
    key = adapted("risks", file_of(tmp_path, as_lines(rows)))
    queries = as_lines([{name: value for name, value in row.items() if name != "label"} for row in rows])
    out = tmp_path / "out.csv"
    innerloop("predict", key, file_of(tmp_path, queries), "--output", str(out))
    (header, *_) = csv.reader(io.StringIO(out.read_bytes().decode(), newline=""))
    assert [name for name in header if name.startswith("probability_")] == [f"probability_{each}" for each in labels]


def test_json_is_the_servers_answer(asked: str, tmp_path: Path) -> None:
    made = json.loads(innerloop("adapt", "sinusoid", file_of(tmp_path, EXAMPLES), "--target", "y", "--json").stdout)
    answer = httpx.get(f"{asked}/adaptations/{made['adaptation_id']}").json()
    assert made == answer
    result = innerloop("predict", made["adaptation_id"], file_of(tmp_path, QUERIES), "--json")
    body = {"adaptation_id": made["adaptation_id"], "queries": [[-3], [1], [3]]}
    assert json.loads(result.stdout) == httpx.post(f"{asked}/predict", json=body).json()


@pytest.mark.parametrize(
    ("content", "words", "message"),
    [
        (EXAMPLES, ["nothing"], "MODEL: expected one of "),
        (EXAMPLES, ["sinusoid"], "has no column called target: name the column that has the target: time, y"),
        (EXAMPLES, ["sinusoid", "--target", "z"], "--target: expected a column of "),
        (EXAMPLES, ["sinusoid", "--target", "y", "--target", "time"], "--target: expected 1 column (target), got 2"),
        (
            "target,y\n1,2\n",
            ["sinusoid", "--target", "y"],
            "--target: target is the server's name for the target, and another column of",
        ),
        (EXAMPLES, ["sinusoid", "--target", "y", "--steps", "1000"], "--steps: expected "),
        (EXAMPLES, ["sinusoid", "--target", "y", "--label", "a" * 300], "--label: expected "),
        ("\n\ntime,y\n1,2\n3,\n", ["sinusoid", "--target", "y"], "line 5, y: expected a number, got an empty cell"),
        ('{"t": 1, "y": 2}\n\n{"t": "a", "y": 3}', ["sinusoid", "--target", "y"], "line 3"),
        ('{"t": 1, "y": 2}\n{"y": 3}', ["sinusoid", "--target", "y"], "line 2: expected the columns t, got no t"),
        ('{"t": 1, "y": 2}\n[3]', ["sinusoid", "--target", "y"], 'line 2: expected a JSON object, got "[3]"'),
        ('{"t": 1, "y": 2', ["sinusoid", "--target", "y"], "line 1: expected a JSON object on each line"),
        ('{"t": "a", "y": 2}', ["sinusoid", "--target", "y"], 'line 1, t: expected a number, got "a"'),
        ('{"t": 1, "y": "a"}', ["sinusoid", "--target", "y"], "line 1, y: expected "),
        ('{"t": 1, "t": 2, "y": 3}', ["sinusoid"], 'line 1: the name "t" appears twice, so rename or remove one'),
        ('{"y": ' + "[" * 100_000, ["sinusoid"], "line 1: expected a JSON object, got one that is nested too deeply"),
        ('{"t": "\\ud800", "y": NaN}', ["sinusoid"], "line 1: expected texts in Unicode, got half of a surrogate pair"),
        ("-4.0e+00,3.03\n1,2\n", ["sinusoid"], "line 1: expected names of columns, got numbers: begin the file with"),
        (
            '[{"t": 1, "y": 2}]',
            ["sinusoid"],
            ": expected a JSON object on each line, got a JSON list",
        ),
        ("t,y,y\n1,2,3\n", ["sinusoid", "--target", "y"], "are called y: rename or remove one"),
        ("1,2\n3,4\n", ["sinusoid", "--target", "2"], "line 1: expected names of columns, got numbers: begin the file"),
        ("", ["sinusoid"], ": expected CSV, JSON lines or Parquet, got an empty file"),
        (b"PK\x03\x04\xff\xfe", ["sinusoid"], ": expected CSV or JSON lines in UTF-8, or Parquet, got the byte 0xff"),
        ("x,y\n1,2\n".encode("utf-16"), ["sinusoid"], ": expected CSV or JSON lines in UTF-8, or Parquet, got UTF-16"),
        ("x,y\n1,2\n".encode("utf-32"), ["sinusoid"], ": expected CSV or JSON lines in UTF-8, or Parquet, got UTF-32"),
        ("flow\n2\n", ["sinusoid", "--target", "flow"], "line 1: expected 1 column of numbers beside flow, got 0"),
        ('{"age": 1, "stay": 2}\n{"age": 1}\n', ["wards", "--target", "stay"], "line 2, stay: expected a value, got"),
        ('{"age": 1, "stay": 2}\n{"age": 1}\n', ["wards", "--target", "stay"], "add the target as stay"),
        (f'{{"t": {"9" * 5000}}}\n', ["sinusoid"], "line 1: expected numbers of fewer digits, got a whole number of t"),
        (EXAMPLES, ["navigation", "--target", "y"], "navigation learns from episodes, so leave --target out"),
    ],
)
def test_an_error_is_one_line_that_names_the_argument(
    asked: str, tmp_path: Path, content: str | bytes, words: list[str], message: str
) -> None:
    model, *options = words
    result = innerloop("adapt", model, file_of(tmp_path, content), *options)
    assert (result.returncode, result.stdout) == (1, "")
    (line,) = result.stderr.splitlines()
    assert message in line


def test_errors_of_predict(asked: str, tmp_path: Path) -> None:
    file = file_of(tmp_path, QUERIES)
    unknown = innerloop("predict", "f" * 32, file)
    assert unknown.stderr == (
        f'ID: expected the id of a stored adaptation, got "{"f" * 32}": `innerloop adaptations ls` lists them\n'
    )
    key = adapted("sinusoid", file_of(tmp_path, EXAMPLES, "examples"), "--target", "y")
    for form in (EXAMPLES, as_lines([{"time": 1, "y": 2}])):
        more = innerloop("predict", key, file_of(tmp_path, form, "more"))
        assert "expected 1 column of numbers, got 2: remove the columns that are not inputs" in more.stderr
    assert innerloop("predict", key, file, "--interval", "2").stderr.startswith("--interval: expected ")
    queries = file_of(tmp_path, QUERIES, "q.csv")
    own = innerloop("predict", key, queries, "--output", queries)
    assert own.stderr.startswith("--output: expected another file than FILE, got ")
    assert Path(queries).read_text() == QUERIES
    missing = innerloop("predict", key, str(tmp_path / "nothing.csv"))
    assert missing.stderr == f"FILE: cannot read {tmp_path}/nothing.csv: No such file or directory\n"
    name = "n" * 5000
    for words in ((name,), (file, "--output", name)):
        long = innerloop("predict", key, *words)
        assert long.stderr.endswith(f" {name[:60]}...: File name too long\n")
    nowhere = innerloop("predict", key, file, "--output", str(tmp_path / "a/b.csv"))
    assert nowhere.stderr == f"--output: cannot write {tmp_path}/a/b.csv: No such file or directory\n"


def test_a_server_that_does_not_answer_is_named(tmp_path: Path) -> None:
    result = innerloop("predict", "a", file_of(tmp_path, QUERIES), "--url", "http://127.0.0.1:9")
    assert result.returncode == 1
    assert result.stderr.startswith("--url: expected an answer from http://127.0.0.1:9, got ")
    assert "start a server with `innerloop serve`, or correct the URL" in result.stderr


def test_a_time_that_is_none_is_wrong_usage(tmp_path: Path) -> None:
    result = innerloop("adapt", "sinusoid", file_of(tmp_path, EXAMPLES), "--ttl", "soon")
    assert result.returncode == 2
    assert "expected a time such as 7d, 12h, 30m or 3600" in " ".join(result.stderr.replace("│", " ").split())


def test_the_guide(live_server: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The commands of the guide print what it shows."""
    page = (ROOT / "app/docs/clients.md").read_text()
    cat, _, adapt, predict = page.partition("```console\n$ ")[2].partition("```")[0].split("\n$ ")
    monkeypatch.setenv("INNERLOOP_URL", live_server)
    (tmp_path / "readings.csv").write_text(cat.partition("\n")[2] + "\n")
    command, _, shown = adapt.partition("\n")
    result = innerloop(*shlex.split(command.removeprefix("id=$(innerloop ").removesuffix(")")), folder=tmp_path)
    assert result.stderr.partition(", ")[0] == shown.partition(", ")[0], "up to the first loss"
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(b"time\n-3\n1\n3\n")))
    head, *rows = innerloop("predict", result.stdout.strip(), "-").stdout.splitlines()
    _, shown_head, *shown_rows = predict.splitlines()
    assert head == shown_head
    for row, shown_row in zip(rows, shown_rows, strict=True):
        assert float(row.split(",")[0]) == pytest.approx(float(shown_row.split(",")[0]), rel=1e-4)
