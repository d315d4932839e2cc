"""The bundle `choices` over HTTP: ten decisions of a person, and what that person decides next."""

from collections.abc import Sequence
from typing import Any

import pytest
from fastapi.testclient import TestClient

OFFERS = [[2, -1], [4, -2], [5, -5], [8, -6], [10, -8], [4, -6], [12, -4], [6, -6], [9, -12], [3, -5]]
"""What may be won and lost with even chances, in dollars; refusing pays nothing."""
ASKED = [[10, -3], [8, -8], [10, -11]]


def observed(offer: Sequence[float]) -> list[float]:
    """An offer as the model sees it: gain, loss, certain amount, expected gain over it; in tens of dollars."""
    gain, loss = offer
    return [gain / 10, loss / 10, 0.0, (gain + loss) / 20]


def accepting(client: TestClient, accepted: list[int]) -> list[float]:
    """How probable it is that somebody who decided so accepts what is asked."""
    episode = {"observations": [observed(offer) for offer in OFFERS], "actions": accepted}
    made = client.post("/adapt", json={"model": "choices", "support": {"episodes": [episode]}})
    assert made.status_code == 201, made.text
    assert made.json()["status"] == "improved"
    body = {"adaptation_id": made.json()["adaptation_id"], "queries": [observed(offer) for offer in ASKED]}
    answer: dict[str, Any] = client.post("/predict", json=body).json()
    assert answer["predictions"] == [int(row[1] > row[0]) for row in answer["probabilities"]]
    return [row[1] for row in answer["probabilities"]]


def test_who_minds_losses_is_told_from_who_does_not(client: TestClient) -> None:
    bold = accepting(client, [1, 1, 1, 1, 1, 0, 1, 1, 0, 0])
    careful = accepting(client, [1, 1, 0, 0, 0, 0, 1, 0, 0, 0])
    assert all(one > two for one, two in zip(bold, careful, strict=True))
    assert bold[1] > 0.5 > careful[1], "as much to win as to lose"
    assert bold == sorted(bold, reverse=True)
    assert careful == sorted(careful, reverse=True)


def test_the_shipped_card_says_how_it_does(client: TestClient) -> None:
    shown = client.get("/models/choices").json()
    assert (shown["kind"], shown["features"], shown["actions"]) == ("decision", 4, {"form": "discrete", "count": 2})
    found = shown["evaluation"]["by_shots"]["10"]
    before, after = (found["mean"][step] for step in (0, shown["inner_loop"]["steps"]))
    assert after > before + found["half_width_95"][0]


@pytest.mark.parametrize("wrong", [2, -1, 0.5])
def test_there_are_two_actions(client: TestClient, wrong: float) -> None:
    episode = {"observations": [observed(OFFERS[0])], "actions": [wrong]}
    answer = client.post("/adapt", json={"model": "choices", "support": {"episodes": [episode]}})
    assert answer.status_code == 422
    assert answer.json()["place"] == "support.episodes[0].actions[0]"
