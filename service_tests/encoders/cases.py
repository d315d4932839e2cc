"""For each encoder: training rows, options, and rows that it refuses with the beginning of what it says."""

import base64
import io
from collections.abc import Mapping, Sequence
from importlib.util import find_spec
from pathlib import Path
from tempfile import mkdtemp
from typing import Any, NamedTuple

import numpy as np
from PIL import Image

from app.encoders.encoder import Rows
from service_tests.sentence_models import WIDTH, write_sentence_model


class Case(NamedTuple):
    """rows: to fit and to encode; options: of `fit`; refused: rows, and how the error goes on after [row]."""

    rows: Rows
    options: Mapping[str, Any]
    refused: Sequence[tuple[Any, str]]


def picture(pixels: np.ndarray, form: str = "PNG", mode: str | None = None, **options: Any) -> bytes:
    """A file of uint8 or bool pixels."""
    file = io.BytesIO()
    image = Image.fromarray(pixels)
    (image.convert(mode) if mode else image).save(file, form, **options)
    return file.getvalue()


def drawing(side: int = 28, seed: int = 0) -> np.ndarray:
    """Black on white, uint8 [row, column]."""
    return np.where(np.random.default_rng(seed).random((side, side)) < 0.2, 0, 255).astype(np.uint8)


def stroke(side: int, width: int) -> np.ndarray:
    """A black diagonal on white, uint8 [row, column]."""
    row, column = np.mgrid[:side, :side]
    inside = (np.minimum(row, column) >= side // 5) & (np.maximum(row, column) < side - side // 5)
    return np.where(inside & (2 * abs(row - column) <= width), 0, 255).astype(np.uint8)


def url(data: bytes, kind: str = "png") -> str:
    """A `data:` URL."""
    return f"data:image/{kind};base64,{base64.b64encode(data).decode()}"


PATIENTS = [
    {"age": 61, "sex": "f", "smoker": True, "seen": "2026-01-31", "dose": 1.5, "ward": 3},
    {"age": 47.5, "sex": "m", "smoker": False, "seen": "2026-02-28T14:30:00+02:00", "dose": None, "ward": 4},
    {"age": 70, "sex": "f", "smoker": False, "seen": "2025-12-01", "ward": 3},
    {"age": 33, "sex": "d", "smoker": True, "seen": "2026-03-01", "dose": float("nan"), "ward": 4},
    {"age": 52, "sex": "m", "smoker": True, "seen": "2026-01-01", "dose": 2, "ward": 3},
]
TABLE: dict[str, Any] = {"columns": {"age": {"unit": "years"}, "ward": "category"}}


def patient(**changes: Any) -> dict[str, Any]:
    """The first patient with other values."""
    return PATIENTS[0] | changes


NUMBER = "expected a number, got "
DATE = "expected a date such as 2026-03-31 or 2026-03-31T14:30:00Z, got "
PNG = picture(drawing())
RASTER = ": expected a PNG, a JPEG or 28 x 28 numbers, got "


def _text_cases() -> list[Case]:
    """Of a small model, where the extra is installed."""
    if find_spec("tokenizers") is None:
        return []
    model = str(write_sentence_model(Path(mkdtemp(prefix="sentence-model-"))))
    long = "the card " * 40
    return [
        Case(
            ["where is my card", "Where is my card?", "the pin 1234", long, "naïve 雨 🌧", [0.5] * WIDTH],
            {"model": model},
            [
                ("", ": expected a text, got an empty one: send a string"),
                (" \n", ": expected a text, got one of spaces: send a string"),
                ("\ud800", ": expected a text in Unicode, got half of a surrogate pair: leave it out"),
                ("\0\u200b", ": expected a text, got one of control characters: send a string"),
                (None, ": expected a text, or 16 numbers, got null: send a string"),
                (5, ": expected a text, or 16 numbers, got 5: send a string"),
                (b"abc", ": expected a text, or 16 numbers, got bytes: send a string"),
                ({"text": "a"}, ": expected a text, or 16 numbers, got an object: send a string"),
                ([1.0] * 15, ": expected a text, or 16 numbers, got 15 numbers: send a string"),
                ([float("nan")] * WIDTH, "[0]: expected a number, got a missing value: this bundle takes none"),
            ],
        ),
        Case(np.random.default_rng(0).random((3, WIDTH)), {"model": model, "max_tokens": 8}, []),
    ]


CASES: Mapping[str, Sequence[Case]] = {
    "numbers": [
        Case(
            [[0.5, 1], [2, -3.25], [4, 0]],
            {},
            [
                ([1, "abc"], f'[1]: {NUMBER}"abc": send a number'),
                ([None, 1], f"[0]: {NUMBER}a missing value: this bundle takes none, so fill it in or leave the row"),
                ([1, float("nan")], f"[1]: {NUMBER}a missing value: this bundle takes none, so fill it in"),
                ([1, float("inf")], "[1]: expected a finite float32 number, got inf: scale the data"),
                ([1, 1e39], "[1]: expected a finite float32 number, got 1e+39: scale the data"),
                ([1, 10**400], "[1]: expected a finite float32 number, got inf: scale the data"),
                ([1], ": expected 2 numbers, got 1: send 2 numbers in each row"),
                ([1, 2, 3], ": expected 2 numbers, got 3: send 2 numbers in each row"),
                ([[1], [2, 3]], f"[0]: {NUMBER}an array: send a number"),
                ("abc", ': expected 2 numbers, got "abc": send'),
                (None, ": expected 2 numbers, got null: send"),
                (b"abc", ": expected 2 numbers, got bytes: send"),
                ({"a": 1}, ": expected 2 numbers, got an object: send"),
            ],
        ),
        Case(
            [{"age": 61, "dose": 0.5}, {"dose": 2, "age": 47.5}, [52, 1]],
            {"names": ["age", "dose"], "units": ["years", "mg"], "scale": True},
            [
                (["abc", 1], f'.age: {NUMBER}"abc": send a number'),
                ({"age": 1}, f".dose: {NUMBER}a missing value: column dose takes none, so fill it in"),
                ({"age": 1, "dose": None}, f".dose: {NUMBER}a missing value: column dose takes none, so fill it in"),
                ([1, float("nan")], f".dose: {NUMBER}a missing value: column dose takes none, so fill it in"),
                (
                    {"age": 1, "does": 2},
                    ".does: expected one of the columns age, dose, got another column: did you",
                ),
                (
                    {"age": 1, "dose": 3.3e38},
                    ".dose: expected a number like those of training, 0.5 to 2, got 3.3e+38: ch",
                ),
            ],
        ),
        Case(
            np.random.default_rng(0).random((4, 3, 2)),
            {"scale": True},
            [([[1, 2]], ": expected 3 x 2 numbers, got 1 x ")],
        ),
        Case([0.5, 1.5], {}, [("1", f': {NUMBER}"1": send it without quotes')]),
    ],
    "table": [
        Case(
            PATIENTS,
            TABLE,
            [
                (patient(age="abc"), f'.age: {NUMBER}"abc": send a number'),
                (patient(age=True), f".age: {NUMBER}true: send a number"),
                (patient(age=None), f".age: {NUMBER}a missing value: column age takes none, so fill it in or leave"),
                (patient(age=float("nan")), f".age: {NUMBER}a missing value: column age takes none, so fill it in"),
                (patient(age=-1e39), ".age: expected a finite float32 number, got -1e+39: check its unit"),
                (patient(age=10**400), ".age: expected a finite float32 number, got inf: check its unit"),
                (patient(age=[1]), f".age: {NUMBER}an array: send a number"),
                (patient(sex=1), ".sex: expected a string, got 1: the categories are "),
                (patient(sex={}), ".sex: expected a category, got an object: send a string, a number"),
                (patient(sex=None), ".sex: expected a string, got a missing value: column sex takes none, so fill"),
                (patient(ward="3"), '.ward: expected a number, got "3": the categories are 3, 4'),
                (patient(ward=True), ".ward: expected a number, got true: the categories are 3, 4"),
                (patient(ward=2**64), ".ward: expected a category, got a whole number of more than 64 bits: send"),
                (patient(smoker="true"), '.smoker: expected true or false, got "true": send true or false without'),
                (patient(smoker=1), ".smoker: expected true or false, got 1: send true or false without"),
                (patient(seen="31.3.2026"), f'.seen: {DATE}"31.3.2026": write it in the order year, month, day'),
                (patient(seen="2026-02-30"), f'.seen: {DATE}"2026-02-30": write it in the order year, month, day'),
                (patient(seen=20260330), f".seen: {DATE}20260330: write it in the order year, month, day"),
                (patient(seen="0001-01-01T00:00:00+10:00"), f'.seen: {DATE}"0001-01-01T00:00:00+10:00": write'),
                (
                    patient(agee=1),
                    ".agee: expected one of the columns age, sex, smoker, seen, dose, ward, got ano",
                ),
                ({"age": 1}, ".sex: expected a string, got a missing value: column sex takes none, so fill it in"),
                ([1, "f"], ": expected 6 values, got 2: the columns are age, sex, smoker, seen, dose, ward, in"),
                ("abc", ': expected an object with the columns age, sex, smoker, seen, dose, ward, got "abc": send'),
                (None, ": expected an object with the columns age, sex, smoker, seen, dose, ward, got null: send"),
            ],
        ),
        Case(
            [{"the dose": 1.5}, {"the dose": 2}], {}, [([None], f'["the dose"]: {NUMBER}a missing value: column the')]
        ),
    ],
    "image": [
        Case(
            [
                PNG,
                url(PNG),
                base64.b64encode(picture(drawing(105, 1))).decode(),
                picture(drawing(60, 2), "JPEG"),
                picture(drawing(700, 3)),
                drawing(28, 4) == 0,
                255 - drawing(28, 4),
                np.random.default_rng(5).random((28, 28)).tolist(),
                np.random.default_rng(6).random((1, 28, 28)),
                np.random.default_rng(7).random((50, 40, 3)).astype(np.float16),
            ],
            {"shape": [28, 28]},
            [
                (b"", ": expected a PNG or JPEG, got no bytes: convert other formats to PNG"),
                (b"GIF89a" + b"\0" * 99, ": expected a PNG or JPEG, got a GIF: convert other formats to PNG"),
                (PNG[:20], ": expected a complete PNG, got the beginning of one: save the image again"),
                (PNG[:60], ": expected a complete PNG, got one that is cut off or damaged: save the image"),
                (
                    picture(drawing(), "JPEG")[:-40],
                    ": expected a complete JPEG, got one that is cut off or damaged: save",
                ),
                ("?", ': expected a PNG or JPEG in base64, got "?": encode the bytes of the file as base64'),
                ("data:image/svg+xml,<svg/>", ": expected a data: URL with base64, got "),
                ([0.0] * 783, f"{RASTER}783 numbers: send"),
                ([[0.0] * 28, [0.0] * 27], f"{RASTER}rows of unequal length or without numbers: send"),
                (np.zeros((28, 28, 2)), f"{RASTER}28 x 28 x 2 numbers: send"),
                ([[float("nan")] * 28] * 28, "[0][0]: expected a number, got a missing value: this bundle takes none"),
                (
                    [[255] * 28] * 28,
                    ": expected ink from 0 (paper) to 1, got whole numbers up to 255: send gray levels as",
                ),
                (
                    [[0, 200]] * 8,
                    "[0][1]: expected ink from 0 (paper) to 1, got 200: send gray levels as an array of u",
                ),
                (None, f"{RASTER}null: send"),
                ({"a": 1}, f"{RASTER}an object: send"),
            ],
        ),
        Case(np.random.default_rng(0).random((3, 5, 4)), {}, []),
        Case(
            [picture(drawing(8, 1)), url(picture(stroke(40, 6))), stroke(28, 1) == 0, 255 - stroke(28, 9)],
            {"shape": [28, 28], "normalise": "drawing"},
            [([0.0] * 783, f"{RASTER}783 numbers: send")],
        ),
    ],
    "text": _text_cases(),
}
