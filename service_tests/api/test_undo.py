"""POST /adaptations/{id}/undo goes back exactly one change; any mix of changes agrees with a simple model."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from fastapi.testclient import TestClient

from service_tests.api.requests import WAVE, adapt, assert_same, examples, fresh_predictions, get_support, predictions


def test_undo_goes_back_one_change_at_a_time(client: TestClient) -> None:
    adaptation = adapt(client)
    adaptation_id = adaptation["adaptation_id"]
    before = [predictions(client, adaptation_id)]
    for seed in (1, 2):
        client.post(f"/adaptations/{adaptation_id}/support", json=examples(3, seed))
        before.append(predictions(client, adaptation_id))
    for revision, size, expected in ((4, 8, before[1]), (5, 5, before[0])):
        undone = client.post(f"/adaptations/{adaptation_id}/undo")
        assert undone.status_code == 200
        assert (undone.json()["revision"], undone.json()["support_size"]) == (revision, size)
        assert_same(predictions(client, adaptation_id), expected)
    assert_same(predictions(client, adaptation_id), fresh_predictions(client, WAVE))
    again = client.post(f"/adaptations/{adaptation_id}/undo")
    assert again.status_code == 409
    assert again.json()["type"] == "urn:problem-type:innerloop:nothing-to-undo"
    assert client.get(f"/adaptations/{adaptation_id}").json()["losses"] == pytest.approx(adaptation["losses"], rel=1e-5)


def test_a_new_adaptation_has_nothing_to_undo(client: TestClient) -> None:
    adaptation_id = adapt(client)["adaptation_id"]
    assert client.post(f"/adaptations/{adaptation_id}/undo").status_code == 409
    assert client.post("/adaptations/nothing/undo").status_code == 404


def test_undone_examples_can_be_posted_again(client: TestClient) -> None:
    adaptation_id = adapt(client)["adaptation_id"]
    more = examples(3)
    client.post(f"/adaptations/{adaptation_id}/support", json=more)
    before = predictions(client, adaptation_id)
    client.post(f"/adaptations/{adaptation_id}/undo")
    extended = client.post(f"/adaptations/{adaptation_id}/support", json=more).json()
    assert extended["examples"] == [0, 1, 2, 3, 4, 8, 9, 10]
    assert_same(predictions(client, adaptation_id), before)


class ExpectedAdaptation:
    """A simple model of an adaptation: batches of numbered examples, one batch for each change that added some."""

    def __init__(self, support: dict[str, Any]) -> None:
        self.batches: list[list[tuple[int, list[float], float]]] = []
        self.next = 0
        self.extend(support)

    def extend(self, support: dict[str, Any]) -> None:
        numbers = range(self.next, self.next + len(support["inputs"]))
        self.batches.append(list(zip(numbers, support["inputs"], support["targets"], strict=True)))
        self.next = numbers.stop

    def forget(self, number: int) -> None:
        kept = ([each for each in batch if each[0] != number] for batch in self.batches)
        self.batches = [batch for batch in kept if batch]

    @property
    def examples(self) -> list[tuple[int, list[float], float]]:
        return [each for batch in self.batches for each in batch]

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
    generator = np.random.default_rng(seed)
    first = examples(int(generator.integers(1, 5)), seed)
    settings = {"steps": int(generator.integers(0, 8)), "learning_rate": 0.005}
    adaptation_id, model, revision = adapt(client, first, **settings)["adaptation_id"], ExpectedAdaptation(first), 1
    for turn in range(25):
        match generator.choice(["extend", "forget", "undo"], p=[0.4, 0.35, 0.25]):
            case "extend":
                more = examples(int(generator.integers(1, 4)), 1000 * seed + turn)
                response = client.post(f"/adaptations/{adaptation_id}/support", json=more)
                expected = 200
                model.extend(more)
            case "forget":
                number = int(generator.integers(0, model.next + 1))
                response = client.delete(f"/adaptations/{adaptation_id}/support/{number}")
                known = number in [each[0] for each in model.examples]
                expected = (200 if len(model.examples) > 1 else 409) if known else 404
                if expected == 200:
                    model.forget(number)
            case _:
                response = client.post(f"/adaptations/{adaptation_id}/undo")
                expected = 200 if len(model.batches) > 1 else 409
                if expected == 200:
                    model.batches.pop()
        assert response.status_code == expected, response.text
        revision += expected == 200
        support = client.get(f"/adaptations/{adaptation_id}/support").json()
        assert support["revision"] == revision
        assert support["examples"] == [each[0] for each in model.examples]
        np.testing.assert_allclose(support["inputs"], model.support["inputs"], rtol=1e-6)
        np.testing.assert_allclose(support["targets"], model.support["targets"], rtol=1e-6)
        if turn % 3 == 0:
            assert_same(predictions(client, adaptation_id), fresh_predictions(client, model.support, **settings))
    assert_same(
        predictions(client, adaptation_id), fresh_predictions(client, get_support(client, adaptation_id), **settings)
    )
    assert len(client.get(f"/adaptations/{adaptation_id}/history").json()["revisions"]) == revision
