"""The bytes of records: what older servers wrote is read, and labels are written once."""

from dataclasses import replace

import numpy as np
import pytest

from app.errors import StoreFailed
from app.service.changed_records import without_example
from app.service.record import Adaptation
from app.service.stored_examples import Stage, object_rows
from app.storage.record_encoding import GENERAL, LABELS, NUMBERS, VERSIONS, decode, encode
from service_tests.storage.records import comparable, id_of, record, revised

OLD = bytes.fromhex(
    "01dc0011a873696e75736f6964aa72656772657373696f6e92c0c005cb3f847ae147ae147b9195010200c4080000803f0000803fc4080000"
    "0000000000000291c420abababababababababababababababababababababababababababababababab919701a7616461707465640200cb"
    "4059100000000000c0c0c408000000400000803fa8696d70726f766564cb4059100000000000cb4069000000000000c0c2c090"
)
"""`record(1)`, as it was written before there were labels."""


def test_what_was_written_before_there_were_labels_is_read() -> None:
    assert comparable(decode("ann", id_of(1), OLD)) == comparable(record(1))


def test_records_of_numbers_stay_in_the_older_format() -> None:
    assert encode(record(1))[0] == OLD[0] == NUMBERS
    assert len(encode(record(1))) == len(OLD) + 3


def test_labels_are_written_once_and_go_with_their_last_example() -> None:
    labels = np.array(["a long label", "another one"] * 50, object)
    stage = Stage(1, np.arange(100, dtype=np.int32), np.zeros((100, 1), np.float32), labels)
    labelled = replace(record(1), kind="classification", stages=(stage,), next_example=100)
    data = encode(labelled)
    assert data[0] == LABELS
    assert (data.count(b"a long label"), data.count(b"another one")) == (1, 1)
    assert comparable(decode("ann", id_of(1), data)) == comparable(labelled)
    for number in range(0, 98, 2):
        labelled = revised(without_example(labelled, number))
    assert b"a long label" in encode(labelled)
    assert b"a long label" not in encode(revised(without_example(labelled, 98)))


def test_labels_of_all_types_are_told_apart() -> None:
    labels = np.array([1, True, "1", False, 0, -(2**63)], object)
    stage = Stage(1, np.arange(6, dtype=np.int32), np.zeros((6, 1), np.float32), labels)
    labelled = replace(record(1), kind="classification", stages=(stage,), next_example=6)
    data = encode(labelled)
    assert data[0] == GENERAL
    decoded = decode("ann", id_of(1), data).targets.tolist()
    assert [(type(each), each) for each in decoded] == [(type(each), each) for each in labels.tolist()]


@pytest.mark.parametrize("head", [b"", b"\0", bytes([max(VERSIONS) + 1])])
def test_another_format_is_refused(head: bytes) -> None:
    with pytest.raises(StoreFailed, match="start the version of Innerloop that wrote it"):
        decode("ann", id_of(1), head + OLD[1:] if head else b"")


def test_a_quality_keeps_the_names_of_version_0_1_in_its_bytes() -> None:
    assessed = replace(record(1), quality={"error": 0.5, "initial_error": 3.0})
    data = encode(assessed)
    assert b"untouched_error" in data
    assert b"initial_error" not in data
    assert decode("ann", id_of(1), data).quality == {"error": 0.5, "initial_error": 3.0}


def test_weights_and_declared_classes_are_read_as_written() -> None:
    targets = np.array(["a", 1], object)
    weights = np.array([0, 0.1], np.float32)
    stage = Stage(1, np.arange(2, dtype=np.int32), np.ones((2, 1), np.float32), targets, weights, ("new", True, 1))
    plain = Stage(2, np.array([2], np.int32), np.ones((1, 1), np.float32), np.array(["b"], object))
    labelled = replace(record(1), kind="classification", stages=(stage, plain), next_example=3)
    data = encode(labelled)
    assert data[0] == GENERAL
    decoded = decode("ann", id_of(1), data)
    assert comparable(decoded) == comparable(labelled)
    assert [each.weights is None for each in decoded.stages] == [False, True]
    assert [(type(label), label) for label in decoded.labels] == [(str, "new"), (bool, True), (int, 1), (str, "b")]


def test_a_record_of_numbers_is_in_format_3_only_for_its_weights() -> None:
    (stage,) = record(1).stages
    weighted = replace(record(1), stages=(stage._replace(weights=np.array([2, 1], np.float32)),))
    assert encode(weighted)[0] == GENERAL
    assert comparable(decode("ann", id_of(1), encode(weighted))) == comparable(weighted)


COLUMNS = ("age", "sex", "dose")


def with_rows(*rows: list[object], columns: tuple[str, ...] = ()) -> Adaptation:
    """A record with a stage of each list of rows."""
    stages = [
        Stage(
            number,
            np.arange(len(each), dtype=np.int32) + 10 * number,
            object_rows(each),
            np.zeros((len(each), 1), np.float32),
            columns=columns,
        )
        for number, each in enumerate(rows, 1)
    ]
    return replace(record(1), stages=tuple(stages))


def test_rows_of_any_type_go_round() -> None:
    rows = [[61.5, "f", None], [47.0, 3, True], ["2026-01-31", -(2**63), False]]
    pixels = np.arange(4, dtype=np.float32).reshape(2, 2)
    for each in (with_rows(rows, rows[:1], columns=COLUMNS), with_rows([b"file", pixels, "text"], [pixels])):
        data = encode(each)
        assert data[0] == GENERAL
        decoded = decode("ann", id_of(1), data)
        assert comparable(decoded) == comparable(each)
        assert [list(map(type, stage.inputs[0])) for stage in decoded.stages] == [
            list(map(type, stage.inputs[0])) for stage in each.stages
        ]


def test_the_names_of_columns_are_written_where_they_change() -> None:
    rows: list[object] = [[61.5, "f", None]]
    same = with_rows(rows, rows, rows, columns=COLUMNS)
    assert encode(same).count(b"dose") == 1
    stages = [
        stage._replace(columns=names)
        for stage, names in zip(same.stages, (COLUMNS, COLUMNS[::-1], COLUMNS), strict=True)
    ]
    mixed = replace(same, stages=(*stages, record(1).stages[0]))
    assert encode(mixed).count(b"dose") == 3
    assert comparable(decode("ann", id_of(1), encode(mixed))) == comparable(mixed)


def test_nothing_of_a_forgotten_row_remains() -> None:
    forgotten = revised(without_example(with_rows([["secret", "f", None], ["known", "f", None]], columns=COLUMNS), 10))
    assert b"secret" not in encode(forgotten)
    assert b"known" in encode(forgotten)


def test_a_record_can_have_all_that_format_3_adds() -> None:
    rows = with_rows([[61.5, "f", None], [47.0, "m", 1]], [[30.0, "f", 2]], columns=COLUMNS)
    first, second = rows.stages
    first = first._replace(
        targets=np.array([True, "1"], object), weights=np.array([0, 2], np.float32), labels=("new", "1")
    )
    stages = first, second._replace(targets=np.array([1], object))
    whole = replace(rows, kind="classification", stages=stages, next_example=21)
    decoded = decode("ann", id_of(1), encode(whole))
    assert comparable(decoded) == comparable(whole)
    assert decoded.labels == ("new", "1", 1)
    assert [list(row.values()) for row in decoded.task.inputs] == [[47, "m", 1], [30, "f", 2]]
    assert decoded.task.kept_by == "ann"
    rest = without_example(whole, 11)
    assert comparable(decode("ann", id_of(1), encode(rest))) == comparable(rest)


def test_damaged_rows_are_refused() -> None:
    data = encode(with_rows([[61.5, "secret", None]]))
    with pytest.raises(StoreFailed, match="restore the store from a backup"):
        decode("ann", id_of(1), data.replace(b"\xa6secret", b"\xc1secret"))


@pytest.mark.parametrize("inputs", [np.empty((0, 3), np.float32), object_rows([])], ids=["numbers", "rows"])
def test_a_stage_that_only_declares_classes_is_read(inputs: np.ndarray) -> None:
    empty = Stage(1, np.empty(0, np.int32), inputs, np.empty(0, object), labels=("a", 1, True))
    one = Stage(2, np.zeros(1, np.int32), np.ones((1, 3), np.float32), np.array([True], object))
    for stages in ((empty,), (empty, one), (one, empty)):
        stored = replace(record(1), kind="classification", stages=stages, next_example=1)
        assert comparable(decode("ann", id_of(1), encode(stored))) == comparable(stored)
