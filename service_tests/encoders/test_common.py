"""One suite over every encoder that is registered: listed means tested."""

import copy
import json
import re
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.numpy import load, save

from app.encoders.encoder import Encoder, StateError
from app.encoders.registry import encoders, fit, restore
from app.encoders.spec import EncoderSpec
from app.errors import Invalid, TrainingError
from service_tests.encoders.cases import CASES, Case

ALL = [pytest.param(name, case, id=f"{name}-{i}") for name, cases in CASES.items() for i, case in enumerate(cases)]
REFUSED = [
    pytest.param(name, case, *refused, id=f"{name}-{i}-{j}")
    for name, cases in CASES.items()
    for i, case in enumerate(cases)
    for j, refused in enumerate(case.refused)
]
every = pytest.mark.parametrize(("name", "case"), ALL)


def fitted(name: str, case: Case) -> Encoder:
    return fit(name, case.rows, case.options)


def plain(rows: Any) -> Any:
    """Canonical rows as values that compare by their content and their types."""
    if isinstance(rows, np.ndarray):
        return rows.dtype.str, rows.shape, rows.tobytes()
    return [plain(row) for row in rows] if isinstance(rows, list) else (type(rows), rows)


def test_every_encoder_of_ours_has_cases() -> None:
    assert encoders().keys() == CASES.keys()


@every
def test_it_has_the_protocols_form(name: str, case: Case) -> None:
    encoder = fitted(name, case)
    assert isinstance(encoder, Encoder)
    features = encoder.encode(case.rows)
    assert features.dtype == np.float32
    assert features.shape == (len(case.rows), np.prod(encoder.feature_shape))
    assert np.isfinite(features).all()
    assert encoder.encode([]).shape == (0, np.prod(encoder.feature_shape))


@every
def test_the_state_goes_round_through_json_and_safetensors(name: str, case: Case) -> None:
    encoder = fitted(name, case)
    state, arrays = encoder.to_json(), encoder.arrays()
    again = restore(
        EncoderSpec(name, json.loads(json.dumps(state, allow_nan=False))), load(save(arrays)) if arrays else {}
    )
    np.testing.assert_array_equal(again.encode(case.rows), encoder.encode(case.rows))
    assert again.describe() == encoder.describe()
    assert again.to_json() == state
    assert plain(list(again.arrays().values())) == plain(list(arrays.values()))
    assert plain(again.canonical(case.rows)) == plain(encoder.canonical(case.rows))


@every
def test_the_order_in_the_state_does_not_matter(name: str, case: Case) -> None:
    encoder = fitted(name, case)
    state = json.loads(json.dumps(encoder.to_json(), sort_keys=True))
    assert restore(EncoderSpec(name, state), encoder.arrays()).describe() == encoder.describe()


@every
def test_a_row_does_not_depend_on_the_others(name: str, case: Case) -> None:
    encoder = fitted(name, case)
    features, kept = encoder.encode(case.rows), encoder.canonical(case.rows)
    for index in range(len(case.rows)):
        alone = case.rows[index : index + 1]
        np.testing.assert_array_equal(encoder.encode(alone)[0], features[index])
        assert plain(encoder.canonical(alone)[0]) == plain(kept[index])
    np.testing.assert_array_equal(encoder.encode(case.rows[::-1]), features[::-1])


@every
def test_the_order_of_columns_does_not_matter(name: str, case: Case) -> None:
    encoder = fitted(name, case)
    turned = [dict(reversed(row.items())) if isinstance(row, dict) else row for row in case.rows]
    np.testing.assert_array_equal(encoder.encode(turned), encoder.encode(case.rows))
    assert plain(encoder.canonical(turned)) == plain(encoder.canonical(case.rows))


@every
def test_canonical_rows_encode_the_same_and_stay_the_same(name: str, case: Case) -> None:
    encoder = fitted(name, case)
    kept = encoder.canonical(case.rows)
    np.testing.assert_array_equal(encoder.encode(kept), encoder.encode(case.rows))
    assert plain(encoder.canonical(kept)) == plain(kept)


@every
def test_the_example_of_the_description_encodes(name: str, case: Case) -> None:
    encoder = fitted(name, case)
    description = json.loads(json.dumps(encoder.describe(), allow_nan=False))
    assert description["encoder"] == name
    assert description["shape"] == list(encoder.feature_shape)
    for column in description["columns"]:
        assert column.keys() >= {"name", "type", "unit", "may_be_missing"}
        assert {"min", "max"} <= column.keys() or column["categories"]
    assert np.isfinite(encoder.encode([description["example"]])).all()


@every
@pytest.mark.parametrize("depth", [5, 33, 65, 500])
def test_nested_lists_are_refused_at_any_depth(name: str, case: Case, depth: int) -> None:
    encoder, nested = fitted(name, case), json.loads("[" * depth + "1" + "]" * depth)
    for row in (nested, [nested], [nested, 1], [nested] * 6):
        for read in (encoder.encode, encoder.canonical):
            with pytest.raises(Invalid, match=r"^\[2\].*: expected .*, got "):
                read([*case.rows[:2], row])


@pytest.mark.parametrize(("name", "case", "row", "message"), REFUSED)
def test_a_refusal_names_row_column_and_cure(name: str, case: Case, row: Any, message: str) -> None:
    encoder = fitted(name, case)
    rows = [*case.rows[:2], row]
    with pytest.raises(Invalid) as encoding:
        encoder.encode(rows)
    assert str(encoding.value).startswith(f"[2]{message}")
    assert encoding.value.place.startswith("[2]")
    expected, actual, fix = encoding.value.reason
    assert expected
    assert actual
    assert fix
    assert len(str(encoding.value)) < 400


SCALARS = st.one_of(
    st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=5), st.binary(max_size=5),
    st.sampled_from(["2026-03-31", "f", "data:image/png;base64,", 10**400, 1e39, -0.0, 2**63, float("nan")]),
)  # fmt: skip
VALUES = st.recursive(
    SCALARS, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3)
)


@every
@settings(max_examples=40)
@given(data=st.data())
def test_whatever_is_posted_is_encoded_or_refused(name: str, case: Case, data: st.DataObject) -> None:
    encoder = fitted(name, case)
    row = copy.deepcopy(case.rows[0])
    if isinstance(row, dict):
        row[data.draw(st.sampled_from(sorted(row)))] = data.draw(SCALARS | VALUES)
    elif isinstance(row, list):
        row[data.draw(st.integers(0, len(row) - 1))] = data.draw(SCALARS | VALUES)
    posted = [data.draw(st.just(row) | VALUES), case.rows[1]]
    try:
        kept = encoder.canonical(posted)
        features = encoder.encode(posted)
    except Invalid as error:
        assert error.place.startswith("[0]") and all(error.reason)  # noqa: PT017, PT018 (either outcome is right)
        return
    assert np.isfinite(features).all()
    assert plain(encoder.canonical(kept)) == plain(kept)
    np.testing.assert_array_equal(encoder.encode(kept), features)
    np.testing.assert_array_equal(encoder.encode(posted[:1]), features[:1])


@every
def test_fitting_looks_at_its_rows_alone(name: str, case: Case) -> None:
    rows = copy.deepcopy(case.rows)
    first = fitted(name, case)
    state = copy.deepcopy((first.to_json(), first.arrays()))
    first.encode(case.rows[:1])
    first.canonical(case.rows[:1])
    first.describe()
    again = fit(name, rows, dict(case.options))
    for encoder in (first, again):
        assert encoder.to_json() == state[0]
        assert plain(list(encoder.arrays().values())) == plain(list(state[1].values()))
    for before, after in zip(rows, case.rows, strict=True):
        assert repr(before) == repr(after)


OPTIONAL = {"image": ("normalise",)}
"""Fields of a state that may be missing, by encoder."""


def corruptions(state: Any, optional: Sequence[str] = ()) -> list[Any]:
    """Copies of a JSON value with one thing wrong each: a field missing, unknown or of another type."""
    wrong: list[Any] = [None, 1, "x", [], {}, 0.5]
    if not isinstance(state, dict):
        return wrong
    missing = [{key: state[key] for key in state if key != left_out} for left_out in state if left_out not in optional]
    changed = [state | {key: bad} for key in state for bad in wrong if type(bad) is not type(state[key])]
    return [*wrong, *missing, *changed, state | {"another": 1}]


@every
def test_a_malformed_state_is_refused(name: str, case: Case) -> None:
    encoder = fitted(name, case)
    state, arrays = encoder.to_json(), encoder.arrays()
    for bad in corruptions(state, OPTIONAL.get(name, ())):
        with pytest.raises(StateError, match=r"state|columns|shape|names|units"):
            restore(EncoderSpec(name, bad), arrays)
    for index, column in enumerate(state.get("columns", [])):
        for bad in corruptions(column):
            columns = [*state["columns"]]
            columns[index] = bad
            with pytest.raises(StateError, match=r"column"):
                restore(EncoderSpec(name, state | {"columns": columns}), arrays)


@every
def test_malformed_arrays_are_refused(name: str, case: Case) -> None:
    encoder = fitted(name, case)
    state, arrays = encoder.to_json(), encoder.arrays()
    wrong: list[Mapping[str, np.ndarray]] = [arrays | {"another": np.zeros(1)}]
    for key, array in arrays.items():
        wrong += [
            arrays | {key: array.astype(np.float32)},
            arrays | {key: array[..., :-1]},
            arrays | {key: np.full_like(array, np.nan)},
            arrays | {key: array[::-1] - 1e6},
            {"other": array},
        ]
    for bad in wrong:
        with pytest.raises(StateError):
            restore(EncoderSpec(name, state), bad)


@every
def test_unknown_options_are_a_training_error(name: str, case: Case) -> None:
    with pytest.raises(TrainingError, match="foo"):
        fit(name, case.rows, {"foo": 1})


def test_unknown_encoders_are_refused() -> None:
    expected = "encoder: expected one of image, numbers, table, text, got 'foo'"
    with pytest.raises(TrainingError, match=re.escape(expected)):
        fit("foo", [], {})
    with pytest.raises(StateError, match="got 'foo': install the package that has it"):
        restore(EncoderSpec("foo"), {})


@pytest.mark.parametrize("name", sorted(CASES))
def test_no_training_rows_is_a_training_error(name: str) -> None:
    with pytest.raises(TrainingError, match="expected"):
        fit(name, [], {})
