"""`propose`: a list of proposals, whatever the candidates are."""

import asyncio
from typing import Any

import numpy as np
import pandas
import pytest

from innerloop_client import AsyncClient, Client, InvalidRequest, Proposal, UnexpectedAnswer, UnsupportedInput
from service_tests.client.answering import Answering, always, answer

X, Y = [[-4.0], [-2.0], [0.5]], [3.03, -3.64, 1.92]
CANDIDATES = [[-3.0], [-1.0], [1.0], [3.0], [5.0]]
MODEL = "sinusoid-bayes"


def test_an_adaptation_proposes(url: str) -> None:
    with Client(url) as client:
        wave = client.adapt(MODEL, X, Y)
        first, second = wave.propose(CANDIDATES, count=2, goal="learn")
        assert isinstance(first, Proposal)
        assert (first.index, first.position, first.nearest_example, first.unlike) == (3, 3, 2, False)
        assert first.score == pytest.approx(first.std)
        assert first.prediction == pytest.approx(wave.predict(CANDIDATES)[3], abs=1e-5)
        assert second.index == 4
        assert second.score < second.std
        (best,) = wave.propose(CANDIDATES, goal="maximize", target="target")
        assert best.prediction == max(each.prediction for each in wave.propose(CANDIDATES, count=5))


@pytest.mark.parametrize(
    "candidates",
    [CANDIDATES, np.array(CANDIDATES, "float32"), tuple(map(tuple, CANDIDATES)), np.array(CANDIDATES).repeat(900, 0)],
    ids=["list", "array", "tuples", "large"],
)
def test_candidates_have_any_form(url: str, candidates: Any) -> None:
    with Client(url) as client:
        (found,) = client.propose(MODEL, candidates, X, Y)
    assert (candidates[found.index][0], found.position) == (3.0, found.index)


def test_a_proposal_names_the_row_of_a_frame(url: str) -> None:
    frame = pandas.DataFrame({"time": [-3.0, 1.0, 3.0]}, index=["Mon", "Tue", "Wed"])
    with Client(url) as client:
        for candidates in (frame, frame["time"]):
            proposals = client.propose(MODEL, candidates, X, Y, count=2)
            assert [(each.index, each.position) for each in proposals] == [("Wed", 2), ("Mon", 0)]
        assert frame.loc[proposals[0].index, "time"] == 3.0


def test_the_asynchronous_client_proposes_too(url: str) -> None:
    async def run() -> list[Proposal]:
        async with AsyncClient(url) as client:
            wave = await client.adapt(MODEL, X, Y)
            one, two = await wave.propose(CANDIDATES), await client.propose(MODEL, CANDIDATES, X, Y)
            return [*one, *two]

    assert [each.index for each in asyncio.run(run())] == [3, 3]


def test_what_cannot_be_sent_or_proposed(url: str) -> None:
    with Client(url) as client:
        for wrong in ({"count": 1.5}, {"goal": None}, {"target": [1]}, {"goal": "win"}):
            with pytest.raises(InvalidRequest, match=f"^{next(iter(wrong))}: expected"):
                client.propose(MODEL, CANDIDATES, X, Y, **wrong)
        with pytest.raises(UnsupportedInput, match="target"):
            client.propose(MODEL, CANDIDATES, X, Y, target=object())  # type: ignore[arg-type]
        assert client.propose(MODEL, CANDIDATES, X, Y, count=np.int64(2), target=np.int64(0))[0].index == 3  # type: ignore[arg-type]
        with pytest.raises(InvalidRequest, match="count: expected at most 5"):
            client.propose(MODEL, CANDIDATES, X, Y, count=6)
        with pytest.raises(InvalidRequest, match="navigation is a policy"):
            client.propose("navigation", [[0, 0]])


GOOD = {"index": 0, "score": 1.0, "prediction": [1.0], "std": [0.5], "nearest_example": 0, "unlike": False}


@pytest.mark.parametrize(
    "proposals",
    [
        [],
        [GOOD, GOOD],
        [GOOD | {"index": 1}],
        [GOOD | {"index": "0"}],
        [GOOD | {"score": None}],
        [GOOD | {"score": float("inf")}],
        [GOOD | {"prediction": []}],
        [GOOD | {"prediction": {}}],
        [GOOD | {"prediction": [None]}],
        [GOOD | {"std": "a"}],
        [GOOD | {"nearest_example": 0.5}],
        [GOOD | {"unlike": 1}],
        [{"index": 0}],
        {"index": 0},
        5,
    ],
    ids=str,
)
def test_proposals_that_do_not_match_the_candidates(proposals: Any) -> None:
    response = answer({"model": "sinusoid", "model_digest": "d", "proposals": proposals})
    with Answering(always(response)) as server, Client(server.url) as client, pytest.raises(UnexpectedAnswer):
        client.propose("sinusoid", [[1]], [[1]], [1])


@pytest.mark.parametrize("cut_examples", [[2], None])
def test_texts_that_are_too_long_are_marked(cut_examples: list[int] | None) -> None:
    """`test_texts` has the server's part."""
    labelled = [{"index": index, "score": 1.0, "prediction": "card"} for index in (1, 0)]
    body = {"model": "intents", "model_digest": "d", "proposals": labelled, "cut_candidates": [0]}
    body |= {} if cut_examples is None else {"cut_examples": cut_examples}
    with Answering(always(answer(body))) as server, Client(server.url) as client:
        proposals = client.propose("intents", ["a", "b"], ["c"], ["card"], count=2)
    assert [(each.index, each.cut, each.cut_examples) for each in proposals] == [
        (1, False, cut_examples),
        (0, True, cut_examples),
    ]


def test_examples_that_are_too_long_have_numbers() -> None:
    response = answer({"model": "sinusoid", "model_digest": "d", "proposals": [GOOD], "cut_examples": ["a"]})
    with Answering(always(response)) as server, Client(server.url) as client, pytest.raises(UnexpectedAnswer):
        client.propose("sinusoid", [[1]], [[1]], [1])
