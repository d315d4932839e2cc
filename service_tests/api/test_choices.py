"""The bundle `choices` over HTTP: ten decisions of a person predict the next ones."""

from collections.abc import Sequence
from typing import Any

import pytest
from fastapi.testclient import TestClient

OFFERS = [[2, -1], [4, -2], [5, -5], [8, -6], [10, -8], [4, -6], [12, -4], [6, -6], [9, -12], [3, -5]]
"""Gambles: the gain and the loss in dollars, with even chances. Refusing one pays nothing."""
QUERIES = [[10, -3], [8, -8], [10, -11]]


def observation(offer: Sequence[float]) -> list[float]:
    """The observation for an offer: gain, loss, guaranteed amount, and expected gain above that; in tens of dollars."""
    gain, loss = offer
    return [gain / 10, loss / 10, 0.0, (gain + loss) / 20]


def acceptance_probabilities(client: TestClient, decisions: list[int]) -> list[float]:
    """The probabilities that a person with these decisions accepts the offers in `QUERIES`."""
    episode = {"observations": [observation(offer) for offer in OFFERS], "actions": decisions}
    response = client.post("/adapt", json={"model": "choices", "support": {"episodes": [episode]}})
    assert response.status_code == 201, response.text
    assert response.json()["status"] == "improved"
    body = {"adaptation_id": response.json()["adaptation_id"], "queries": [observation(offer) for offer in QUERIES]}
    answer: dict[str, Any] = client.post("/predict", json=body).json()
    assert answer["predictions"] == [int(row[1] > row[0]) for row in answer["probabilities"]]
    return [row[1] for row in answer["probabilities"]]


def test_a_person_who_avoids_losses_is_told_from_one_who_does_not(client: TestClient) -> None:
    bold = acceptance_probabilities(client, [1, 1, 1, 1, 1, 0, 1, 1, 0, 0])
    careful = acceptance_probabilities(client, [1, 1, 0, 0, 0, 0, 1, 0, 0, 0])
    assert all(one > two for one, two in zip(bold, careful, strict=True))
    assert bold[1] > 0.5 > careful[1], "the second query offers as much to win as to lose"
    assert bold == sorted(bold, reverse=True)
    assert careful == sorted(careful, reverse=True)


def test_the_shipped_evaluation_shows_that_adapting_helps(client: TestClient) -> None:
    model = client.get("/models/choices").json()
    assert (model["kind"], model["features"]) == ("decision", 4)
    assert model["actions"] == {"form": "discrete", "count": 2, "names": ["refuse", "accept"]}
    evaluation = model["evaluation"]["by_shots"]["10"]
    before, after = (evaluation["mean"][step] for step in (0, model["inner_loop"]["steps"]))
    assert after > before + evaluation["half_width_95"][0]


@pytest.mark.parametrize("wrong", [2, -1, 0.5])
def test_actions_other_than_0_and_1_are_refused(client: TestClient, wrong: float) -> None:
    episode = {"observations": [observation(OFFERS[0])], "actions": [wrong]}
    response = client.post("/adapt", json={"model": "choices", "support": {"episodes": [episode]}})
    assert response.status_code == 422
    assert response.json()["place"] == "support.episodes[0].actions[0]"
