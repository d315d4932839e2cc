"""The classifier of scikit-learn with a model of texts, whose labels may count as examples."""

import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn.base import clone
from sklearn.model_selection import GridSearchCV

from innerloop_client import Client, InnerloopError, InvalidRequest, UnsupportedInput
from innerloop_client.sklearn import FewShotClassifier
from service_tests.encoders.cases import drawing, picture
from service_tests.processes import serving_in_a_thread
from service_tests.sentence_models import write_sentence_model, write_text_bundle

TEXTS = ["where is my card", "my card lost", "change the pin please", "the pin please", "rain today", "the sun today"]
LABELS = ["card", "card", "pin_change", "pin_change", "weather", "weather"]
QUERIES = ["my card is lost", "change the pin", "the sun today please"]


@pytest.fixture(scope="module")
def texts_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A server with a model of texts, and one of numbers."""
    from app.encoders.text import TextEncoder  # after the shape checks are installed
    from app.learn.networks import NetworkSpec
    from app.main import create_app
    from app.settings import Settings
    from service_tests.bundles import write_bundle

    folder = tmp_path_factory.mktemp("models")
    encoder = TextEncoder.of_model(str(write_sentence_model(tmp_path_factory.mktemp("sentences"))))
    write_text_bundle(folder / "texts", encoder)
    network = NetworkSpec("linear", {"inputs": 2, "outputs": 16})
    write_bundle(folder / "numbers", "blobs", "protonet", network, options={"features": 2})
    with serving_in_a_thread(
        create_app(Settings(models_dir=folder, compile=False, watch=False, store="memory"))
    ) as url:
        yield url


def in_a_column(texts: list[str]) -> list[list[str]]:
    return [[text] for text in texts]


def array_column(texts: list[str]) -> np.ndarray:
    return np.array([texts]).T


@pytest.mark.parametrize("form", [list, np.array, pd.Series, pd.DataFrame, in_a_column, array_column])
def test_texts_are_inputs(texts_url: str, form: Any) -> None:
    classifier = FewShotClassifier("texts", texts_url).fit(form(TEXTS), LABELS)
    assert classifier.predict(form(QUERIES)).tolist() == ["card", "pin_change", "weather"]
    classifier.partial_fit(form(["my money"]), ["money"])
    assert classifier.classes_.tolist() == ["card", "money", "pin_change", "weather"]


def test_the_names_of_labels_count_unless_it_says_otherwise(texts_url: str) -> None:
    names, without = (FewShotClassifier("texts", texts_url, label_names=choice) for choice in (None, False))
    assert clone(without).get_params()["label_names"] is False
    assert names.fit(TEXTS, LABELS).adaptation().label_names
    assert not without.fit(TEXTS, LABELS).adaptation().label_names
    assert not np.allclose(names.predict_proba(QUERIES), without.predict_proba(QUERIES), atol=1e-3)


def test_a_search_chooses_whether_names_count(texts_url: str) -> None:
    search = GridSearchCV(FewShotClassifier("texts", texts_url, ttl_s=60), {"label_names": [False, True]}, cv=2)
    assert search.fit(TEXTS, LABELS).best_params_["label_names"] in (False, True)


def test_numbers_have_no_names(texts_url: str) -> None:
    with pytest.raises(InvalidRequest, match="label_names: the inputs of numbers are no texts"):
        FewShotClassifier("numbers", texts_url, label_names=True).fit([[1, 2], [3, 4]], ["a", "b"])


FORMS: list[Callable[[list[str]], Any]] = [list, np.array, pd.Series, in_a_column, array_column]


@pytest.mark.parametrize("form", FORMS)
def test_texts_need_the_name_of_a_model(texts_url: str, form: Callable[[list[str]], Any]) -> None:
    message = r'^X: expected numbers, got texts: a model of texts needs its name, as in model="intents"$'
    with pytest.raises(UnsupportedInput, match=message):
        FewShotClassifier(url=texts_url).fit(form(TEXTS), LABELS)
    with pytest.raises(UnsupportedInput, match=r"^X: expected numbers, got texts: send numbers$"):
        FewShotClassifier("numbers", texts_url).fit(form(TEXTS), LABELS)


@pytest.mark.parametrize("form", FORMS)
def test_texts_after_embeddings_are_named(texts_url: str, form: Callable[[list[str]], Any]) -> None:
    classifier = FewShotClassifier("texts", texts_url).fit(np.eye(6, 16), LABELS)
    for call in (lambda: classifier.predict(form(TEXTS)), lambda: classifier.partial_fit(form(TEXTS), LABELS)):
        with pytest.raises(UnsupportedInput, match=r"^X: expected 16 numbers in each row, as in fit, got texts: send "):
            call()
    assert classifier.fit(form(TEXTS), LABELS).predict(form(QUERIES)).tolist() == ["card", "pin_change", "weather"]


@pytest.mark.parametrize("form", [in_a_column, array_column, pd.DataFrame])
def test_texts_in_a_column_and_in_a_list_are_the_same(texts_url: str, form: Callable[[list[str]], Any]) -> None:
    classifier = FewShotClassifier("texts", texts_url).fit(form(TEXTS), LABELS)
    assert classifier.predict(QUERIES).tolist() == ["card", "pin_change", "weather"]
    classifier.partial_fit(["my money"], ["money"])


@pytest.mark.parametrize("form", [in_a_column, array_column])
def test_the_client_takes_texts_in_a_column_too(texts_url: str, form: Callable[[list[str]], Any]) -> None:
    with Client(texts_url) as client:
        topics = client.adapt("texts", form(TEXTS), LABELS)
        assert list(topics.predict(form(QUERIES))) == ["card", "pin_change", "weather"]


@pytest.mark.parametrize(
    ("form", "message"),
    [
        (lambda texts: pd.DataFrame({"a": texts, "b": texts}), "x: texts takes texts: expected 1 column, got 2 (a, b)"),
        (lambda texts: pd.DataFrame({"a": texts, "b": 1}), "x: texts takes texts: expected 1 column, got 2 (a, b)"),
        (lambda texts: np.array([texts, texts]).T, "support.inputs[0]: expected a text, or "),
        (lambda texts: list(zip(texts, texts, strict=True)), "support.inputs[0]: expected a text, or "),
    ],
    ids=["frame", "mixed frame", "array", "list"],
)
def test_two_columns_are_no_texts(texts_url: str, form: Any, message: str) -> None:
    with Client(texts_url) as client, pytest.raises(InnerloopError, match=f"^{re.escape(message)}") as error:
        client.adapt("texts", form(TEXTS), LABELS)
    assert message.startswith("x") or ", got an array of 2 texts: send a string" in str(error.value)


@pytest.mark.parametrize("model", ["texts", "numbers"])
def test_bytes_and_files_are_no_texts_and_no_numbers(texts_url: str, tmp_path: Path, model: str) -> None:
    path, expected = tmp_path / "a.png", "a text" if model == "texts" else "numbers"
    path.write_bytes(picture(drawing(28, 1)))
    fix = "send its decode()" if model == "texts" else "send numbers"
    with Client(texts_url) as client, path.open("rb") as file:
        for row, message in (
            (b"card", f"got bytes: {fix}"),
            (path, "got a path: send what is in the file"),
            (tmp_path, "got a path: send what is in the file"),
            (file, "got an open file: send what is in it"),
        ):
            with pytest.raises(UnsupportedInput, match=rf"^x\[1\]: expected {expected}, {re.escape(message)}$"):
                client.adapt(model, [TEXTS[0], row], LABELS[:2])


@pytest.mark.parametrize(
    "rows", [[], np.array([]), pd.DataFrame({"text": []}), ()], ids=["list", "array", "frame", "tuple"]
)
def test_no_row_is_refused_by_every_method(texts_url: str, rows: Any) -> None:
    fitted = FewShotClassifier("texts", texts_url).fit(TEXTS, LABELS)
    calls: list[Callable[[], Any]] = [
        lambda: fitted.predict(rows),
        lambda: fitted.predict_proba(rows),
        lambda: fitted.score(rows, []),
        lambda: fitted.partial_fit(rows, []),
        lambda: FewShotClassifier("texts", texts_url).fit(rows, []),
    ]
    for call in calls:
        with pytest.raises(ValueError, match=r"^X: expected at least 1 row, got none$"):
            call()


@pytest.mark.parametrize(
    ("classes", "sentence"),
    [
        ([], "expected at least 1 class, got none"),
        (set(), "expected at least 1 class, got none"),
        (["a", 1], "expected labels of one type, got numbers and texts"),
        ([b"a"], "expected texts, numbers or booleans as labels, got bytes"),
        (np.array(["2020-01-01"], "M8[D]"), r"expected texts, numbers or booleans as labels, got datetime64"),
    ],
    ids=str,
)
def test_classes_that_cannot_be_are_named(texts_url: str, classes: Any, sentence: str) -> None:
    with pytest.raises(UnsupportedInput, match=rf"^classes: {sentence}"):
        FewShotClassifier("texts", texts_url).partial_fit(TEXTS, LABELS, classes=classes)
