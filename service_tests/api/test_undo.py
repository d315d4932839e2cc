"""POST /adaptations/{id}/undo: back to the examples before, exactly; and any mix of changes against a simple model."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from fastapi.testclient import TestClient

from service_tests.api.ask import WAVE, adapt, afresh, assert_same, examples, predictions, support_of


def test_undoing_goes_back_change_by_change(client: TestClient) -> None:
    made = adapt(client)
    it = made["adaptation_id"]
    seen = [predictions(client, it)]
    for seed in (1, 2):
        client.post(f"/adaptations/{it}/support", json=examples(3, seed))
        seen.append(predictions(client, it))
    for revision, size, expected in ((4, 8, seen[1]), (5, 5, seen[0])):
        undone = client.post(f"/adaptations/{it}/undo")
        assert undone.status_code == 200
        assert (undone.json()["revision"], undone.json()["support_size"]) == (revision, size)
        assert_same(predictions(client, it), expected)
    assert_same(predictions(client, it), afresh(client, WAVE))
    again = client.post(f"/adaptations/{it}/undo")
    assert again.status_code == 409
    assert again.json()["type"] == "urn:problem-type:innerloop:nothing-to-undo"
    assert client.get(f"/adaptations/{it}").json()["losses"] == pytest.approx(made["losses"], rel=1e-5)


def test_there_is_nothing_to_undo_at_first(client: TestClient) -> None:
    it = adapt(client)["adaptation_id"]
    assert client.post(f"/adaptations/{it}/undo").status_code == 409
    assert client.post("/adaptations/nothing/undo").status_code == 404


def test_what_was_undone_may_be_posted_again(client: TestClient) -> None:
    it = adapt(client)["adaptation_id"]
    more = examples(3)
    client.post(f"/adaptations/{it}/support", json=more)
    before = predictions(client, it)
    client.post(f"/adaptations/{it}/undo")
    assert client.post(f"/adaptations/{it}/support", json=more).json()["examples"] == [0, 1, 2, 3, 4, 8, 9, 10]
    assert_same(predictions(client, it), before)


class Simple:
    """What an adaptation is expected to be: lists of examples, those posted together in one list."""

    def __init__(self, support: dict[str, Any]) -> None:
        self.posted: list[list[tuple[int, list[float], float]]] = []
        self.next = 0
        self.extend(support)

    def extend(self, support: dict[str, Any]) -> None:
        numbers = range(self.next, self.next + len(support["inputs"]))
        self.posted.append(list(zip(numbers, support["inputs"], support["targets"], strict=True)))
        self.next = numbers.stop

    def forget(self, number: int) -> None:
        kept = ([each for each in some if each[0] != number] for some in self.posted)
        self.posted = [some for some in kept if some]

    @property
    def examples(self) -> list[tuple[int, list[float], float]]:
        return [each for some in self.posted for each in some]

    @property
    def support(self) -> dict[str, Any]:
        return {
            "inputs": [inputs for _, inputs, _ in self.examples],
            "targets": [[target] for _, _, target in self.examples],
        }


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("cached", [True, False])
def test_any_mix_of_changes_equals_adapting_afresh(serve: Callable[..., TestClient], seed: int, cached: bool) -> None:
    client = serve(fast_weights_bytes=1 << 20 if cached else 0)
    drawn = np.random.default_rng(seed)
    first = examples(int(drawn.integers(1, 5)), seed)
    settings = {"steps": int(drawn.integers(0, 8)), "learning_rate": 0.005}
    it, model, revision = adapt(client, first, **settings)["adaptation_id"], Simple(first), 1
    for turn in range(25):
        match drawn.choice(["extend", "forget", "undo"], p=[0.4, 0.35, 0.25]):
            case "extend":
                more = examples(int(drawn.integers(1, 4)), 1000 * seed + turn)
                response = client.post(f"/adaptations/{it}/support", json=more)
                expected = 200
                model.extend(more)
            case "forget":
                number = int(drawn.integers(0, model.next + 1))
                response = client.delete(f"/adaptations/{it}/support/{number}")
                known = number in [each[0] for each in model.examples]
                expected = (200 if len(model.examples) > 1 else 409) if known else 404
                if expected == 200:
                    model.forget(number)
            case _:
                response = client.post(f"/adaptations/{it}/undo")
                expected = 200 if len(model.posted) > 1 else 409
                if expected == 200:
                    model.posted.pop()
        assert response.status_code == expected, response.text
        revision += expected == 200
        found = client.get(f"/adaptations/{it}/support").json()
        assert found["revision"] == revision
        assert found["examples"] == [each[0] for each in model.examples]
        np.testing.assert_allclose(found["inputs"], model.support["inputs"], rtol=1e-6)
        np.testing.assert_allclose(found["targets"], model.support["targets"], rtol=1e-6)
        if turn % 3 == 0:
            assert_same(predictions(client, it), afresh(client, model.support, **settings))
    assert_same(predictions(client, it), afresh(client, support_of(client, it), **settings))
    assert len(client.get(f"/adaptations/{it}/history").json()["revisions"]) == revision
