"""Texts over HTTP: encoded by the worker, with the words of labels as examples, compared with their support set."""

import json
import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest
from fastapi.testclient import TestClient

from app.encoders.sentences.sentence_model import SentenceModel
from app.encoders.text import TextEncoder
from service_tests.sentence_models import WIDTH, write_sentence_model, write_text_bundle

SUPPORT = {
    "inputs": ["where is my card", "my card lost", "change the pin please", "rain today", "the sun today"],
    "targets": ["card", "card", "pin_change", "weather", "weather"],
}
QUERIES = ["my card is lost", "change the pin please today", "the sun today please"]


@pytest.fixture(scope="module")
def encoder(tmp_path_factory: pytest.TempPathFactory) -> TextEncoder:
    return TextEncoder.of_model(str(write_sentence_model(tmp_path_factory.mktemp("sentences"))))


@pytest.fixture(scope="module")
def texts(encoder: TextEncoder, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Untrained bundles: of `named` the labels count as examples, of `plain` they do not."""
    folder = tmp_path_factory.mktemp("models")
    write_text_bundle(folder / "named", encoder)
    write_text_bundle(folder / "plain", encoder, label_names=False)
    return folder


@pytest.fixture
def client(serve: Callable[..., TestClient], texts: Path) -> TestClient:
    return serve(models_dir=texts)


def post(client: TestClient, path: str, status: int = 200, **body: Any) -> dict[str, Any]:
    response = client.post(path, json=body)
    assert response.status_code == status, response.text
    answer: dict[str, Any] = response.json()
    return answer


def adapt(client: TestClient, model: str = "named", **more: Any) -> dict[str, Any]:
    return post(client, "/adapt", 201, **{"model": model, "support": SUPPORT, **more})


def predict(client: TestClient, **body: Any) -> dict[str, Any]:
    return post(client, "/predict", **{"queries": QUERIES, **body})


def likely(answer: dict[str, Any]) -> np.ndarray:
    return np.array(answer["probabilities"])


def test_texts_are_adapted_to_and_predicted(client: TestClient) -> None:
    adapted = adapt(client)
    assert adapted["labels"] == ["card", "pin_change", "weather"]
    assert adapted["support_size"] == 5
    assert adapted["label_names"] is True
    answer = predict(client, adaptation_id=adapted["adaptation_id"])
    assert answer["predictions"] == ["card", "pin_change", "weather"]
    at_once = predict(client, model="named", support=SUPPORT)
    np.testing.assert_allclose(likely(at_once), likely(answer), atol=1e-4)
    assert at_once["nearest_examples"] == answer["nearest_examples"]


def test_a_name_counts_as_one_more_example(client: TestClient) -> None:
    """The same as posting the words of the labels, at the end, without names."""
    named = predict(client, model="named", support=SUPPORT)
    spelt = {
        "inputs": [*SUPPORT["inputs"], "card", "pin change", "weather"],
        "targets": [*SUPPORT["targets"], "card", "pin_change", "weather"],
    }
    np.testing.assert_allclose(
        likely(named), likely(predict(client, model="plain", support=spelt, label_names=False)), atol=1e-4
    )
    plain = predict(client, model="plain", support=SUPPORT)
    assert not np.allclose(likely(plain), likely(named), atol=1e-3)
    np.testing.assert_allclose(
        likely(predict(client, model="plain", support=SUPPORT, label_names=True)), likely(named), atol=1e-4
    )


def test_labels_without_words_have_no_name(client: TestClient) -> None:
    coded = {**SUPPORT, "targets": ["A7", "A7", 3, "class 1", "class 1"]}
    with_names = predict(client, model="named", support=coded)
    without = predict(client, model="named", support=coded, label_names=False)
    assert with_names["labels"] == ["A7", 3, "class 1"]
    words = predict(client, model="named", support={**SUPPORT, "targets": ["A7", "A7", 3, "class", "class"]})
    np.testing.assert_allclose(likely(with_names)[:, :2].shape, likely(without)[:, :2].shape)
    assert not np.allclose(likely(words), likely(without), atol=1e-3)


def test_a_class_works_from_its_name_alone(client: TestClient) -> None:
    labels = {"labels": ["card", "weather"]}
    adapted = adapt(client, support=labels)
    assert adapted["support_size"] == 0
    answer = predict(client, adaptation_id=adapted["adaptation_id"], queries=["card", "weather"])
    assert answer["predictions"] == ["card", "weather"]
    assert "nearest_examples" not in answer
    more = {"inputs": ["the pin"], "targets": ["pin"], "labels": ["pin"]}
    extended = client.post(f"/adaptations/{adapted['adaptation_id']}/support", json=more).json()
    assert extended["labels"] == ["card", "weather", "pin"]
    undone = client.post(f"/adaptations/{adapted['adaptation_id']}/undo").json()
    assert undone["support_size"] == 0


@pytest.mark.parametrize(
    ("body", "detail"),
    [
        (
            {"support": {"labels": ["card", "A7"]}},
            'support.labels[1]: expected a label with words of its own, got "A7": send an example of it too',
        ),
        (
            {"support": {"labels": ["card", "pin"]}, "label_names": False},
            "support.labels: expected classes with examples for named, got no example: named compares queries with the "
            "examples of each class, so send inputs and targets too, or label_names: true, which makes the words of "
            "labels examples",
        ),
        (
            {"support": {"inputs": ["a", " "], "targets": ["x", "y"]}},
            "support.inputs[1]: expected a text, got one of spaces: send a string",
        ),
        (
            {"support": {"inputs": ["a", 5], "targets": ["x", "y"]}},
            "support.inputs[1]: expected a text, or 16 numbers, got 5: send a string",
        ),
    ],
)
def test_what_cannot_be_used_is_refused(client: TestClient, body: dict[str, Any], detail: str) -> None:
    assert post(client, "/adapt", 422, model="named", **body)["detail"].startswith(detail)


def test_a_label_that_takes_the_words_of_another_is_refused(client: TestClient) -> None:
    """Alone they are words, together they differ in their numbers: no class would have an example."""
    adapted = post(client, "/adapt", 201, model="named", support={"labels": ["card 1", "the rain"]})
    path = f"/adaptations/{adapted['adaptation_id']}/support"
    answer = post(client, path, 422, labels=["the rain", "the sun", "card 2"])
    assert answer["detail"].startswith('labels[2]: expected a label with words of its own, got "card 2"')
    assert post(client, path, labels=["the sun", "card 1"])["labels"] == ["card 1", "the rain", "the sun"]
    answer = post(client, path, labels=["card 2"], inputs=["my card"], targets=["card 2"])
    assert answer["support_size"] == 1, "with an example, as in POST /adapt"


def test_a_forgotten_text_without_weight_leaves_the_cache(client: TestClient, monkeypatch: pytest.MonkeyPatch) -> None:
    embedded: list[str] = []
    embed = SentenceModel.embed

    def watched(model: SentenceModel, texts: Sequence[str]) -> np.ndarray:
        embedded.extend(texts)
        return embed(model, texts)

    monkeypatch.setattr(SentenceModel, "embed", watched)
    text = SUPPORT["inputs"][0]
    adaptation = adapt(client, support={**SUPPORT, "weights": [0, 1, 1, 1, 1]})["adaptation_id"]
    for _ in range(2):
        predict(client, adaptation_id=adaptation, queries=[text])
    assert embedded.count(text) == 1
    client.delete(f"/adaptations/{adaptation}/support/0").raise_for_status()
    predict(client, adaptation_id=adaptation, queries=[text])
    assert embedded.count(text) == 2


def test_label_names_are_for_models_of_texts(serve: Callable[..., TestClient]) -> None:
    body = {"model": "sinusoid", "support": {"inputs": [[1]], "targets": [1]}, "label_names": True}
    detail = serve().post("/adapt", json=body).json()["detail"]
    assert detail == "label_names: the inputs of sinusoid are no texts, so leave label_names out"


def test_a_stored_adaptation_keeps_its_label_names(client: TestClient) -> None:
    adaptation = adapt(client)["adaptation_id"]
    body = {"adaptation_id": adaptation, "queries": QUERIES, "label_names": False}
    assert post(client, "/predict", 422, **body)["detail"].startswith("label_names: the adaptation has its own")


def test_an_embedding_is_an_input_too(client: TestClient, encoder: TextEncoder) -> None:
    embeddings = encoder.encode(SUPPORT["inputs"])
    posted = {"inputs": embeddings.tolist(), "targets": SUPPORT["targets"]}
    expected = likely(predict(client, model="named", support=SUPPORT))
    rows = encoder.encode(QUERIES).tolist()
    np.testing.assert_allclose(
        likely(predict(client, model="named", support=posted, queries=rows)), expected, atol=1e-4
    )
    mixed = {**posted, "inputs": [SUPPORT["inputs"][0], *posted["inputs"][1:]]}
    np.testing.assert_allclose(
        likely(predict(client, model="named", support=mixed, queries=[QUERIES[0], *rows[1:]])), expected, atol=1e-4
    )


def test_msgpack_has_the_same_answer(client: TestClient) -> None:
    body = msgspec.msgpack.encode({"model": "named", "support": SUPPORT, "queries": QUERIES})
    headers = {"content-type": "application/msgpack", "accept": "application/msgpack"}
    answer = msgspec.msgpack.decode(client.post("/predict", content=body, headers=headers).content)
    assert answer["predictions"] == predict(client, model="named", support=SUPPORT)["predictions"]


def test_csv_is_read_too(client: TestClient) -> None:
    rows = "text,label\n" + "\n".join(map(",".join, zip(SUPPORT["inputs"], SUPPORT["targets"], strict=True)))
    adapted = client.post("/adapt?model=named", content=rows, headers={"content-type": "text/csv"})
    assert adapted.status_code == 201, adapted.text
    queries = "text\n" + "\n".join(QUERIES)
    url = f"/predict?adaptation_id={adapted.json()['adaptation_id']}"
    answer = client.post(url, content=queries, headers={"content-type": "text/csv"})
    assert answer.json()["predictions"] == ["card", "pin_change", "weather"]


def test_a_query_names_the_example_that_is_most_like_it(client: TestClient) -> None:
    adapted = adapt(client)
    adaptation = adapted["adaptation_id"]
    answer = predict(client, adaptation_id=adaptation, queries=[*SUPPORT["inputs"]])
    assert answer["nearest_examples"] == [0, 1, 2, 3, 4]
    client.delete(f"/adaptations/{adaptation}/support/0")
    assert predict(client, adaptation_id=adaptation, queries=["rain today"])["nearest_examples"] == [3]
    weighted = {**SUPPORT, "weights": [0, 1, 1, 1, 1]}
    assert predict(client, model="named", support=weighted, queries=["rain today"])["nearest_examples"] == [3]


CSV = {"content-type": "text/csv"}
LONG = "please " * 40
"""More tokens than the model reads."""


def test_long_texts_are_named(client: TestClient) -> None:
    support = {"inputs": [*SUPPORT["inputs"], LONG], "targets": [*SUPPORT["targets"], "weather"]}
    adapted = adapt(client, support=support)
    path = f"/adaptations/{adapted['adaptation_id']}"
    assert adapted["cut_examples"] == client.get(path).json()["cut_examples"] == [5]
    answer = predict(client, model="named", support=support, queries=["my card", LONG])
    assert (answer["cut_queries"], answer["cut_examples"]) == ([1], [5])
    assert client.delete(f"{path}/support/0").json()["cut_examples"] == [5]
    extended = post(client, f"{path}/support", inputs=["rain", LONG], targets=["weather", "card"])
    assert extended["cut_examples"] == [5, 7]
    assert client.post(f"{path}/undo").json()["cut_examples"] == [5]
    assert "cut_examples" not in client.delete(f"{path}/support/5").json()


def test_long_candidates_are_named(client: TestClient) -> None:
    short: dict[str, Any] = {"model": "named", "support": SUPPORT, "goal": "learn", "count": 1}
    body = {**short, "count": 2}
    answer = post(client, "/propose", candidates=["my card", LONG, "rain today", LONG], **body)
    assert answer["cut_candidates"] == [1, 3]
    rows = client.post(
        "/propose",
        params={"adaptation_id": adapt(client)["adaptation_id"], "count": 1, "goal": "learn"},
        content=f"text\nmy card\n{LONG}\n",
        headers=CSV,
    )
    assert rows.json()["cut_candidates"] == [1], rows.text
    assert not {"cut_candidates", "cut_examples"} & post(client, "/propose", candidates=["my card"], **short).keys()


def test_long_examples_of_candidates_are_named(client: TestClient) -> None:
    support = {"inputs": [LONG, "my card", LONG], "targets": ["rain", "card", "card"]}
    body: dict[str, Any] = {"model": "named", "candidates": ["my card", LONG], "count": 1, "goal": "learn"}
    answer = post(client, "/propose", support=support, **body)
    assert (answer["cut_candidates"], answer["cut_examples"]) == ([1], [0, 2])


@pytest.mark.parametrize(("path", "asked"), [("/predict", "queries"), ("/propose", "candidates")])
def test_numbers_of_long_examples_count_those_without_weight(client: TestClient, path: str, asked: str) -> None:
    support = {"inputs": ["the sun", LONG, LONG], "targets": ["sun", "rain", "rain"], "weights": [0, 0, 1]}
    body: dict[str, Any] = {"model": "named", "support": support, asked: ["my card"]}
    if path == "/propose":
        body |= {"count": 1, "goal": "learn"}
    answer = post(client, path, **body)
    assert answer["cut_examples"] == [2]


def test_long_texts_of_a_csv_are_named(client: TestClient) -> None:
    url = f"/predict?adaptation_id={adapt(client)['adaptation_id']}"
    answer = client.post(url, content=f"text\nmy card\n{LONG}\n", headers=CSV)
    assert answer.json()["cut_queries"] == [1], answer.text


@pytest.mark.parametrize("path", ["/predict?", "/propose?count=1&goal=learn&"])
def test_a_text_of_a_csv_that_cannot_be_used_has_a_line(client: TestClient, path: str) -> None:
    url = f"{path}adaptation_id={adapt(client)['adaptation_id']}"
    detail = client.post(url, content='text\nmy card\n"  "\n', headers=CSV).json()["detail"]
    assert detail.startswith("line 3, text: expected a text"), detail


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            "id,text,label\n1,my card,a card\n",
            r"line 1: expected 1 column of texts, or \d+ columns of numbers beside label",
        ),
        ("text,label\nmy card,a card\n,the rain\n", "line 3, text: expected a text, got an empty cell: fill it in or"),
    ],
)
def test_a_csv_of_texts_has_one_text_in_each_line(client: TestClient, text: str, message: str) -> None:
    assert re.match(message, client.post("/adapt?model=named", content=text, headers=CSV).json()["detail"])


def test_answers_in_other_forms_name_long_texts_too(client: TestClient) -> None:
    body = {"model": "named", "support": SUPPORT, "queries": ["my card", LONG]}
    lines = client.post("/predict", json=body, headers={"accept": "text/csv"}).text.splitlines()
    place = lines[0].split(",").index("cut")
    assert [line.split(",")[place] for line in lines[1:]] == ["false", "true"]
    body = {"model": "named", "support": {"inputs": ["my card", LONG], "targets": ["a card", "the rain"]}}
    events = client.post("/adapt", json=body, headers={"accept": "text/event-stream"}).text
    assert '"cut_examples":[1]' in events


def test_short_texts_and_embeddings_are_not_named(client: TestClient, encoder: TextEncoder) -> None:
    rows = encoder.encode([LONG, "my card"]).tolist()
    answer = predict(client, model="named", support=SUPPORT, queries=rows)
    assert not {"cut_queries", "cut_examples"} & answer.keys()
    assert "cut_examples" not in adapt(client)


def test_unlike_compares_with_the_nearest_example(client: TestClient) -> None:
    answer = predict(client, model="named", support=SUPPORT, queries=["my card lost", "xq zv"])
    assert answer["unlike"][0] is False


def test_a_query_does_not_depend_on_the_others(client: TestClient) -> None:
    adaptation = adapt(client)["adaptation_id"]
    together = likely(predict(client, adaptation_id=adaptation, queries=[*QUERIES, "please " * 20]))
    alone = [likely(predict(client, adaptation_id=adaptation, queries=[query]))[0] for query in QUERIES]
    np.testing.assert_allclose(together[: len(QUERIES)], alone, atol=1e-4)


def test_proposals_are_texts_too(client: TestClient) -> None:
    adaptation = adapt(client)["adaptation_id"]
    body = {"adaptation_id": adaptation, "candidates": [*QUERIES, "xq zv"], "count": 2, "goal": "learn"}
    proposals = post(client, "/propose", **body)["proposals"]
    assert len({each["index"] for each in proposals}) == 2
    assert all(each["nearest_example"] in range(5) for each in proposals)


def test_assessing_leaves_texts_out(client: TestClient) -> None:
    quality = adapt(client, assess="leave_one_out")["quality"]
    assert quality["folds"] == 4  # the only example of pin_change stays
    assert quality["unlike_training"] is None


def test_losses_can_be_streamed(client: TestClient) -> None:
    body = {"model": "named", "support": SUPPORT}
    lines = client.post("/adapt", json=body, headers={"accept": "text/event-stream"}).text
    assert lines.count("event: step") == 6
    assert '"label_names":true' in lines


def test_the_model_says_what_it_takes(client: TestClient) -> None:
    model = client.get("/models/named").json()
    assert model["label_names"] is True
    assert model["inputs"]["max_tokens"] == 32
    assert model["inputs"]["shape"] == [WIDTH]
    example = model["example"]
    assert post(client, "/predict", **example)["predictions"] == [example["support"]["targets"][0]]
    assert client.get("/models/plain").json()["label_names"] is False


def test_a_restart_changes_nothing(serve: Callable[..., TestClient], texts: Path, tmp_path: Path) -> None:
    settings = {"models_dir": texts, "store": "sqlite", "state_dir": tmp_path}
    first = serve(**settings)
    ids = [adapt(first, "plain", label_names=choice)["adaptation_id"] for choice in (True, False)]
    before = [likely(predict(first, adaptation_id=each)) for each in ids]
    first.__exit__(None, None, None)
    second = serve(**settings)
    after = [likely(predict(second, adaptation_id=each)) for each in ids]
    np.testing.assert_allclose(after, before, atol=1e-4)
    assert not np.allclose(before[0], before[1], atol=1e-3)
    support = second.get(f"/adaptations/{ids[0]}/support").json()
    assert support["inputs"] == SUPPORT["inputs"]


def test_a_forgotten_text_is_in_no_file(serve: Callable[..., TestClient], texts: Path, tmp_path: Path) -> None:
    """It leaves the record, the store and what servers log; the cache of features is tested with the engine."""
    client = serve(models_dir=texts, store="sqlite", state_dir=tmp_path)
    secret = {"inputs": ["my pin is zyxwvutsr", *SUPPORT["inputs"]], "targets": ["pin_change", *SUPPORT["targets"]]}
    adaptation = adapt(client, support=secret)["adaptation_id"]
    predict(client, adaptation_id=adaptation)
    assert client.delete(f"/adaptations/{adaptation}/support/0").status_code == 200
    support = client.get(f"/adaptations/{adaptation}/support").json()
    client.__exit__(None, None, None)
    assert "zyxwvutsr" not in json.dumps(support)
    files = [file for file in tmp_path.rglob("*") if file.is_file()]
    assert files
    assert all(b"zyxwvutsr" not in file.read_bytes() for file in files)


def test_answers_follow_every_change_of_the_examples(client: TestClient) -> None:
    """The server keeps the embeddings of a support set that is predicted with."""
    weighted: dict[str, Any] = {**SUPPORT, "weights": [1, 2, 0.5, 1, 3]}
    without = {name: values[1:] for name, values in weighted.items()}
    more: dict[str, list[Any]] = {"inputs": ["where is the money"], "targets": ["money"], "weights": [2]}
    longer = {name: [*values, *more[name]] for name, values in without.items()}
    path = f"/adaptations/{adapt(client, support=weighted)['adaptation_id']}"
    changes: list[tuple[Callable[[], Any], Any]] = [
        (lambda: None, weighted),
        (lambda: client.delete(f"{path}/support/0").raise_for_status(), without),
        (lambda: client.post(f"{path}/support", json=more).raise_for_status(), longer),
        (lambda: client.post(f"{path}/undo").raise_for_status(), without),
    ]
    for change, support in changes:
        change()
        body = {"adaptation_id": path.removeprefix("/adaptations/"), "queries": QUERIES}
        first, again = predict(client, **body), predict(client, **body)
        assert first == again
        anew = predict(client, model="named", support=support, queries=QUERIES)
        assert first["predictions"] == anew["predictions"]
        np.testing.assert_allclose(likely(first), likely(anew), atol=1e-5)
        np.testing.assert_allclose(first["similarity"], anew["similarity"], atol=1e-6)
