"""CSV bodies give the answers of the same rows in JSON; a wrong cell is named by its line and column."""

import csv
import gzip
import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from fastapi.testclient import TestClient

from app.encoders.registry import fit
from service_tests.api.requests import WAVE
from service_tests.api.test_support_rows import LABELLED, ROWS
from service_tests.api.test_tables import OBJECTS, predict
from service_tests.bundles import write_encoder_bundle, write_tables
from service_tests.encoders.cases import PATIENTS, TABLE

NAMES = ["age", "sex", "smoker", "seen", "dose", "ward", "target"]
QUERIES = [{name: row[name] for name in NAMES if name in row} for row in OBJECTS]


@pytest.fixture
def client(tmp_path: Path, serve: Callable[..., TestClient], models_dir: Path) -> TestClient:
    write_tables(tmp_path / "models")
    for bundle in models_dir.iterdir():
        (tmp_path / "models" / bundle.name).symlink_to(bundle)
    return serve(models_dir=tmp_path / "models")


def as_csv(rows: list[dict[str, Any]], names: list[str] | None = None, **options: Any) -> str:
    """Rows as another program writes them: booleans as True and False, nothing where a value is missing."""
    file = io.StringIO()
    writer = csv.DictWriter(file, names or list(dict.fromkeys(name for row in rows for name in row)), **options)
    writer.writeheader()
    writer.writerows(rows)
    return file.getvalue()


def post(client: TestClient, path: str, content: str | bytes, **headers: str) -> Any:
    return client.post(path, content=content, headers={"Content-Type": "text/csv"} | headers)


def adapt(client: TestClient, content: str, parameters: str = "model=wards") -> str:
    answer = post(client, f"/adapt?{parameters}", content)
    assert answer.status_code == 201, answer.text
    return str(answer.json()["adaptation_id"])


def predicted(client: TestClient, adaptation: str, content: str | bytes) -> Any:
    answer = post(client, f"/predict?adaptation_id={adaptation}", content)
    return answer.raise_for_status().json()["predictions"]


TEXT = as_csv(ROWS, NAMES)
FORMS = {
    "plain": TEXT,
    "other order": as_csv(ROWS, NAMES[::-1]),
    "LF": TEXT.replace("\r\n", "\n"),
    "CR": TEXT.replace("\r\n", "\r"),
    "BOM": "\ufeff" + TEXT,
    "quotes": as_csv(ROWS, NAMES, quoting=csv.QUOTE_ALL),
    "blank lines": TEXT.replace("\r\n", "\r\n\r\n"),
    "no last line break": TEXT.rstrip(),
    "spaces": TEXT.replace(",", " ,\t "),
    "spaces before quotes": as_csv(ROWS, NAMES, quoting=csv.QUOTE_ALL).replace(",", ", "),
    "upper case": TEXT.replace("True", "TRUE").replace("False", "FALSE"),
    "digits for booleans": TEXT.replace("True", "1").replace("False", "0"),
    "plus signs": TEXT.replace("61,", "+61,"),
    "floats for categories": TEXT.replace(",3,", ",3.0,"),
    "large": TEXT + "\r\n" * 2**16,
}


def test_a_csv_is_the_same_as_its_rows(client: TestClient) -> None:
    for form, text in FORMS.items():
        adaptation = adapt(client, text)
        assert client.get(f"/adaptations/{adaptation}").json()["support_size"] == len(ROWS), form
        answer = predicted(client, adaptation, as_csv(QUERIES))
        np.testing.assert_allclose(answer, predict(client, OBJECTS), atol=1e-5, err_msg=form)


def test_queries_of_many_lines(client: TestClient) -> None:
    adaptation = adapt(client, TEXT)
    answer = predicted(client, adaptation, as_csv(QUERIES * 1000))
    np.testing.assert_allclose(answer, predict(client, OBJECTS) * 1000, atol=1e-5)
    wrong = post(client, "/predict?model=wards", as_csv([*QUERIES * 1000, QUERIES[0] | {"ward": "x"}]))
    assert wrong.json()["place"] == "line 5002, ward"


def test_a_cell_of_several_lines_counts_as_them(client: TestClient) -> None:
    rows = [ROWS[0] | {"sex": "a\nb\r\nc"}, ROWS[1], ROWS[2] | {"age": "old"}]
    answer = post(client, "/adapt?model=wards", as_csv(rows, NAMES))
    assert answer.json()["place"] == "line 6, age"


def test_parameters_are_the_fields_of_a_json_body(client: TestClient) -> None:
    parameters = "model=wards&label=ward%2017&steps=3&ttl_s=60&assess=k_fold&pinned=true&reuse=true"
    one = post(client, f"/adapt?{parameters}", TEXT).json()
    fields = {"label": "ward 17", "steps": 3, "ttl_s": 60, "assess": "k_fold", "pinned": True, "reuse": True}
    other = client.post("/adapt", json={"model": "wards", "support": {"rows": ROWS}, **fields}).json()
    assert one == other  # by `reuse`


def test_an_adaptation_grows_by_a_csv(client: TestClient) -> None:
    adaptation = adapt(client, as_csv(ROWS[:3], NAMES))
    extended = post(client, f"/adaptations/{adaptation}/support", as_csv(ROWS[3:], NAMES))
    assert extended.raise_for_status().json()["support_size"] == len(ROWS)
    np.testing.assert_allclose(predicted(client, adaptation, as_csv(QUERIES)), predict(client, OBJECTS), atol=1e-5)
    answer = post(client, f"/adaptations/{adaptation}/support?steps=3", TEXT)
    assert answer.json()["detail"].startswith("query.steps: expected only model_digest, got an unknown parameter")


def test_a_label_that_is_not_declared_is_named(client: TestClient) -> None:
    support = {"rows": LABELLED[:1], "labels": ["low", "high"]}
    adaptation = client.post("/adapt", json={"model": "risks", "support": support}).json()["adaptation_id"]
    rows = [LABELLED[0] | {"label": label} for label in ("high", "hihg")]
    wrong = post(client, f"/adaptations/{adaptation}/support", as_csv(rows)).json()
    assert wrong["detail"] == ('line 3, label: expected one of the labels, got "hihg": add it to labels, or correct it')


@pytest.mark.parametrize(
    ("model", "name", "column"), [("risks", "lab", "label"), ("wards", "stay", "target")], ids=["label", "number"]
)
def test_a_target_of_another_name_is_to_be_renamed(client: TestClient, model: str, name: str, column: str) -> None:
    row = OBJECTS[0] | {name: 1}
    wrong = post(client, f"/adapt?model={model}", as_csv([row])).json()["detail"]
    assert wrong == f"line 1, {column}: expected the column {column}, got none of this name: rename {name} to {column}"
    wrong = client.post("/adapt", json={"model": model, "support": {"rows": [row]}}).json()["detail"]
    assert wrong == f"support.rows[0].{column}: expected a value, got none: rename {name} to {column}"
    wrong = post(client, f"/adapt?model={model}", as_csv(OBJECTS[:1])).json()["detail"]
    assert wrong.endswith(f": add the target as {column}")


def test_labels_are_strings(client: TestClient) -> None:
    adaptation = adapt(client, as_csv(LABELLED[:3]), "model=risks")
    assert client.get(f"/adaptations/{adaptation}").json()["labels"] == ["low", "1"]


def test_numbers_without_names_are_taken_in_their_order(client: TestClient) -> None:
    lines = [f"{x[0]},{y}" for x, y in zip(WAVE["inputs"], WAVE["targets"], strict=True)]
    adaptation = adapt(client, "\n".join(["time,target", *lines]), "model=sinusoid")
    support = client.get(f"/adaptations/{adaptation}/support").json()
    np.testing.assert_allclose(support["inputs"], WAVE["inputs"])
    np.testing.assert_allclose(np.ravel(support["targets"]), WAVE["targets"], rtol=1e-6)
    assert len(predicted(client, adaptation, "x\n1\n2")) == 2


def test_numbers_with_names_come_in_any_order(client: TestClient) -> None:
    one, other = "position along x,position along y\n0.5,2", "position along y,position along x\n2,0.5"
    answers = [post(client, "/predict?model=navigation", text).raise_for_status().json() for text in (one, other)]
    assert answers[0] == answers[1]
    assert answers[0] == client.post("/predict", json={"model": "navigation", "queries": [[0.5, 2]]}).json()


def test_images_are_one_column(client: TestClient) -> None:
    image = client.get("/models/omniglot").json()["inputs"]["example"]
    adaptation = adapt(client, as_csv([{"image": image, "label": "a"}]), "model=omniglot")
    assert predicted(client, adaptation, as_csv([{"image": image}])) == ["a"]
    pixels = {f"pixel {index}": 0.5 for index in range(28 * 28)}
    assert predicted(client, adaptation, as_csv([pixels])) == ["a"]


def table(answer: Any) -> list[dict[str, str]]:
    assert answer.headers["content-type"] == "text/csv; charset=utf-8"
    return list(csv.DictReader(io.StringIO(answer.raise_for_status().text)))


@pytest.mark.parametrize("copies", [1, 5000])
def test_predictions_as_csv(client: TestClient, copies: int) -> None:
    adaptation, queries = adapt(client, TEXT), as_csv(QUERIES * copies)
    expected = predicted(client, adaptation, queries)
    rows = table(post(client, f"/predict?adaptation_id={adaptation}", queries, Accept="text/csv"))
    assert rows[0].keys() == {"target"}
    np.testing.assert_allclose([float(row["target"]) for row in rows], np.ravel(expected), rtol=1e-6)


def test_probabilities_as_csv(client: TestClient) -> None:
    body = {"model": "risks", "support": {"rows": LABELLED[:3]}, "queries": OBJECTS}
    answer = client.post("/predict", json=body).json()
    rows = table(client.post("/predict", json=body, headers={"Accept": "text/csv"}))
    assert list(rows[0]) == ["label", 'probability_"low"', "probability_1", 'probability_"1"']
    assert [row["label"] for row in rows] == [str(label) for label in answer["predictions"]]
    columns = [row.values() for row in rows]
    np.testing.assert_allclose([[*map(float, [*row][1:])] for row in columns], answer["probabilities"], rtol=1e-6)


def test_intervals_and_actions_as_csv(client: TestClient) -> None:
    body: dict[str, Any] = {"model": "sinusoid-bayes", "support": WAVE, "queries": [[1]]}
    assert table(client.post("/predict", json=body, headers={"Accept": "text/csv"}))[0].keys() == {
        "target",
        "target_std",
        "unlike",
    }
    body |= {"model": "sinusoid", "interval": 0.9}
    (row,) = table(client.post("/predict", json=body, headers={"Accept": "text/csv"}))
    assert float(row["target_lower"]) < float(row["target"]) < float(row["target_upper"])
    (row,) = table(post(client, "/predict?model=navigation", "a,b\n1,2".replace("a,b", MOVES), Accept="text/csv"))
    numbers = {f"action_{number}{part}" for number in (1, 2) for part in ("", "_mean", "_std")}
    assert row.keys() == numbers | {"unlike"}


MOVES = "position along x,position along y"


def test_an_error_and_an_adaptation_are_never_csv(client: TestClient) -> None:
    answer = post(client, "/adapt?model=wards", TEXT, Accept="text/csv")
    assert answer.headers["content-type"] == "application/json"
    answer = post(client, "/predict?model=wards", "", Accept="text/csv")
    assert answer.headers["content-type"] == "application/problem+json"


def test_a_csv_streams_steps_and_is_repeated_safely(client: TestClient) -> None:
    events = post(client, "/adapt?model=wards&steps=2", TEXT, Accept="text/event-stream").text
    assert events.count("event: step") == 3
    ids = [post(client, "/adapt?model=wards", TEXT, **{"Idempotency-Key": "a"}).json() for _ in range(2)]
    assert ids[0] == ids[1]


ROW = "61,f,true,2026-01-31,1.5,3,1.0"
HEAD = ",".join(NAMES)


def with_cell(name: str, cell: str) -> str:
    cells = ROW.split(",")
    cells[NAMES.index(name)] = cell
    return f"{HEAD}\n{ROW}\n{','.join(cells)}\n"


WRONG_CELLS = {
    ("age", "old"): 'expected a number, got "old"',
    ("age", "nan"): 'expected a number, got "nan": leave the cell empty if the value is missing',
    ("age", "inf"): 'expected a number, got "inf"',
    ("age", "1_000"): 'expected a number, got "1_000"',
    ("age", "0x10"): 'expected a number, got "0x10"',
    ("age", "١"): 'expected a number, got "١"',
    ("age", "--1"): 'expected a number, got "--1"',
    ("age", "1 2"): 'expected a number, got "1 2"',
    ("age", '"1,5"'): 'expected a number, got "1,5": write decimals with a point',
    ("age", "1e400"): "expected a finite float32 number, got inf: check its unit",
    ("age", ""): "expected a number, got a missing value: column age takes none",
    ("age", "9" * 100_000): "expected a finite float32 number, got inf: check its unit",
    ("sex", ""): "expected a string, got a missing value: column sex takes none",
    ("smoker", "yes"): 'expected true or false, got "yes"',
    ("seen", "31.1.2026"): 'expected a date such as 2026-03-31 or 2026-03-31T14:30:00Z, got "31.1.2026": write it',
    ("ward", "x"): 'expected a number, got "x": the categories are 3, 4',
    ("target", "high"): 'expected a number, got "high"',
    ("target", ""): "expected a number, got an empty cell: fill it in or leave the row out",
    ("target", "1e39"): "expected a finite float32 number, got 1e+39: scale the data",
}


def test_a_wrong_cell_is_named(client: TestClient) -> None:
    for cell, detail in WRONG_CELLS.items():
        answer = post(client, "/adapt?model=wards", with_cell(*cell))
        assert answer.status_code == 422, cell
        assert answer.json()["place"] == f"line 3, {cell[0]}"
        assert answer.json()["detail"].startswith(f"line 3, {cell[0]}: {detail}")
        assert len(answer.json()["detail"]) < 300


WRONG_TEXTS: list[tuple[str | bytes, int, str]] = [
    ("", 400, "body: expected CSV, got an empty body"),
    ("\ufeff", 400, "body: expected CSV, got an empty body"),
    (f"{HEAD}\n", 422, "body: expected at least 1 row after the names of the columns, got 0"),
    (f"{HEAD}\n\n \n"[:-3], 422, "body: expected at least 1 row after the names of the columns, got 0"),
    (f"{HEAD}\n{ROW},1\n", 422, "line 2: expected 7 cells, got 8: put a cell that has a comma in double quotes"),
    (f"{HEAD}\n{ROW}\n61\n", 422, "line 3: expected 7 cells, got 1: the columns are "),
    (f"{HEAD},age\n{ROW},1\n", 422, 'line 1: the name "age" appears twice, so rename or remove'),
    (f"{HEAD},\n{ROW},1\n", 422, "line 1: column 8 has no name, so name it or"),
    (f"{HEAD},agee\n{ROW},1\n", 422, "line 1, agee: expected one of the columns age, sex, "),
    (f"{HEAD}\n{ROW}\n".replace("target", "y"), 422, "line 1, target: expected the column target, got none of"),
    (f"{HEAD}\n{ROW}\n".replace("age", "old"), 422, "line 1, old: expected one of the columns age, sex, "),
    (f"{HEAD}\n{ROW}\n".replace(",", ";"), 422, "line 1: expected columns separated by commas, got semicolons"),
    (f"{HEAD}\n{ROW}\n".replace(",", "\t"), 422, "line 1: expected columns separated by commas, got tabs"),
    (f'{HEAD}\n"{ROW}\n{ROW}\n', 400, "body: expected CSV, got a quote that is not closed, in line 2: close it"),
    (f'{HEAD}\n"6"1,{ROW}', 400, "body: expected CSV, got text after a closing quote, in line 2"),
    (f"{HEAD}\n{ROW}\0\n", 400, "body: expected CSV in UTF-8, got the byte 0x00 at "),
    (f"{HEAD}\n{ROW}\n".encode("utf-16"), 400, "body: expected CSV in UTF-8, got UTF-16: send the body in UTF-8"),
    (gzip.compress(TEXT.encode(), mtime=0), 400, "body: expected CSV in UTF-8, got a gzip archive: set the header Con"),
    (b"PK\x03\x04\x14\0", 400, "body: expected CSV in UTF-8, got a zip archive or a spreadsheet: send the text, such"),
    (HEAD.encode() + b"\n\xe9", 400, "body: expected CSV in UTF-8, got the byte 0xe9 "),
    (f"{HEAD}\n" + "1" * 200_000, 400, "body: expected CSV, got a cell of more than 131072 characters, in line 2"),
    (f'{HEAD}\n"' + "a\n" * 200_000, 400, "body: expected CSV, got a cell of more than 131072 characters, in"),
    ("x," * 1_000_000, 400, "body: expected CSV with fewer than 1048576 characters in a line, got a longer line"),
    (",".join(map(str, range(100_000))), 422, "line 1, target: expected the column target"),
    (f"{HEAD}\n" + "," * 1_000_000, 422, "line 2: expected 7 cells, got 1000001: put a cell that has a comma"),
    ('{"model": "wards"}', 422, "line 1, target: expected the column target, got none of this name"),
]


def test_a_text_that_is_no_such_csv_is_refused(client: TestClient) -> None:
    for text, status, detail in WRONG_TEXTS:
        answer = post(client, "/adapt?model=wards", text)
        assert answer.json()["detail"].startswith(detail)
        assert len(answer.json()["detail"]) < 400
        assert answer.status_code == status


def test_a_query_has_no_target_and_needs_its_columns(client: TestClient) -> None:
    assert post(client, "/predict?model=wards", TEXT).json()["place"] == "line 1, target"
    answer = post(client, "/predict?model=wards", "age\n61\n").json()
    assert answer["detail"].startswith("line 1, sex: expected the columns age, sex, smoker, seen, ward, got none of")
    for numbers in ("1\n2\n", "-3.000e+00\n1\n", "nan\n1\n"):
        assert post(client, "/predict?model=sinusoid", numbers).json()["detail"].startswith("line 1: expected names of")
    assert post(client, "/predict?model=sinusoid", "x,y\n1,2\n").json()["detail"] == (
        "line 1: expected 1 column of numbers, got 2: remove the columns that are not inputs"
    )


def test_a_query_column_called_like_the_target_is_refused(client: TestClient) -> None:
    detail = post(client, "/predict?model=sinusoid", "target\n1\n").json()["detail"]
    assert detail.startswith("line 1, target: expected columns of inputs, got the target: remove the column, or give")


def test_episodes_are_no_csv(client: TestClient) -> None:
    answer = post(client, "/adapt?model=navigation", f"{MOVES},action\n1,2,3\n")
    assert answer.json()["detail"].startswith("body: expected episodes for navigation, got rows: send JSON with")


WRONG_PARAMETERS = [
    ("", "query.model: expected a value, got none: add the parameter: ?model="),
    ("model=nope", "model: expected one of choices, "),
    ("model=wards&model=risks", "query.model: expected one value, got several: send it once"),
    (
        "model=wards&label=%ff",
        "query: expected parameters in UTF-8, got the byte 0xff: encode each value as UTF-8, then",
    ),
    ("model=wards&steps=x", 'query.steps: expected a whole number, got "x"'),
    ("model=wards&steps=", 'query.steps: expected a whole number, got ""'),
    ("model=wards&steps=-1", 'query.steps: expected a whole number of at least 0, got "-1"'),
    ("model=wards&steps=51", "query.steps: expected 0 to 50 for wards, got 51"),
    ("model=wards&ttl_s=1000000000", "query.ttl_s: expected at most 2678400 seconds"),
    ("model=wards&learning_rate=nan", 'query.learning_rate: expected a number above 0, got "nan"'),
    ("model=wards&learning_rate=1e400", "query.learning_rate: expected a finite number, got"),
    ("model=wards&queries=1", "query.queries: expected one of the parameters model, steps, "),
    ("model=wards&assess=often", 'query.assess: expected one of leave_one_out, k_fold, got "often"'),
    ("model=wards&pinned=maybe", 'query.pinned: expected true or false, got "maybe"'),
    ("model=wards&stepz=1", "query.stepz: expected one of the parameters model, steps, "),
    ("model=wards&support=1", "query.support: expected one of the parameters model, steps, "),
    ("model=wards&" + "x" * 500 + "=1", "query." + "x" * 60 + ": expected one of the parameters"),
]


def test_a_wrong_parameter_is_named(client: TestClient) -> None:
    for query, detail in WRONG_PARAMETERS:
        answer = post(client, f"/adapt?{query}", TEXT)
        assert answer.status_code in (404, 422)
        assert answer.json()["detail"].startswith(detail)
        assert answer.json()["place"] == detail.partition(":")[0]
    other = post(client, "/predict?model=wards&seed=1", as_csv(QUERIES)).json()
    assert other["place"] == "query.seed"
    answer = client.post("/adapt", json={"model": "wards", "support": {"rows": ROWS}, "steps": 51})
    assert answer.json()["place"] == "steps", "a body of JSON has the field itself"


def test_parameters_of_a_support_set_are_not_those_of_queries(client: TestClient) -> None:
    answer = post(client, "/predict?model=wards&steps=3", as_csv(QUERIES)).json()
    assert answer["detail"].startswith(
        "query.steps: expected one of the parameters adaptation_id, model, pinned, interval, "
    )


def test_json_takes_no_notice_of_parameters(client: TestClient) -> None:
    body = json.dumps({"model": "wards", "queries": OBJECTS})
    answer = client.post("/predict?model=risks", content=body, headers={"Content-Type": "application/json"})
    assert answer.json()["model"] == "wards"


def test_more_rows_than_examples_are_refused(tmp_path: Path, serve: Callable[..., TestClient]) -> None:
    write_tables(tmp_path / "few")
    few = serve(models_dir=tmp_path / "few", max_support_examples=4)
    answer = post(few, "/adapt?model=wards", TEXT).json()
    assert answer["detail"].startswith("body: expected at most 4 examples (INNERLOOP_MAX_SUPPORT_EXAMPLES), got more")


def test_extra_columns_are_left_out_if_the_encoder_says_so(tmp_path: Path, serve: Callable[..., TestClient]) -> None:
    write_encoder_bundle(tmp_path / "lax/wards", fit("table", PATIENTS, TABLE | {"ignore_extra": True}))
    lax = serve(models_dir=tmp_path / "lax")
    adaptation = adapt(lax, as_csv([row | {"name": "x"} for row in ROWS], ["name", *NAMES]))
    assert predicted(lax, adaptation, as_csv(ROWS, NAMES)) == predicted(lax, adaptation, as_csv(QUERIES))
    rows = [row | {"name": "x"} for row in ROWS]
    body = {"model": "wards", "support": {"rows": rows}, "queries": ROWS}
    np.testing.assert_allclose(
        lax.post("/predict", json=body).raise_for_status().json()["predictions"],
        predicted(lax, adaptation, as_csv(QUERIES)),
        atol=1e-5,
    )


def test_a_column_that_is_called_like_the_target(tmp_path: Path, serve: Callable[..., TestClient]) -> None:
    encoder = fit("numbers", [[1, 2], [3, 4]], {"names": ["target", "blood pressure"]})
    write_encoder_bundle(tmp_path / "models/both", encoder)
    write_encoder_bundle(tmp_path / "models/risks", encoder, "classification")
    both = serve(models_dir=tmp_path / "models")
    text = "target,blood pressure\n1,2\n"
    detail = post(both, "/adapt?model=both", text).json()["detail"]
    assert detail.startswith("body: expected different names for inputs and targets, got target: both has an input")
    rows = both.post("/adapt", json={"model": "both", "support": {"rows": [{"target": 1}]}}).json()
    assert rows["place"] == "support.rows"
    example = both.get("/models/both").json()["example"]
    assert "inputs" in example["support"]
    assert both.post("/predict", json=example).is_success
    assert post(both, "/predict?model=both", text).is_success
    assert post(both, "/adapt?model=risks", "label,blood pressure,target\na,2,1\n").is_success
    wrong = post(both, "/adapt?model=risks", "label,blood pressure,target\na,x,1\n").json()
    assert wrong["place"] == "line 2, blood pressure"
    rows = both.post("/adapt", json={"model": "risks", "support": {"rows": [{"label": "a", "target": 1}]}}).json()
    assert rows["place"] == 'support.rows[0]["blood pressure"]'
    wrong = post(both, "/adapt?model=risks", "label,blood pressure,target\na,,1\n").json()
    assert wrong["place"] == "line 2, blood pressure"
