"""Decisions: episodes adapt a policy stage after stage, and actions come back."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from fastapi.testclient import TestClient

from app.bundles import load
from app.learn import decision_weights
from app.learn import policies as learn
from app.learn.inner import Examples, Schedule, adapt, batched, repeat_state
from service_tests.api.ask import assert_same, reload
from service_tests.api.test_msgpack import MSGPACK, raw, read, sent_as
from service_tests.api.test_ndjson import post as post_lines
from service_tests.api.test_sse import events
from service_tests.bundles import write_policies

Episode = dict[str, Any]
QUERIES = [[0.3, -0.2], [-0.9, 0.5], [0.0, 0.0]]
MODELS = ("names", "box", "paced")
every_model = pytest.mark.parametrize("model", MODELS)


@pytest.fixture
def client(serve: Callable[..., TestClient], policies: Path) -> TestClient:
    return serve(models_dir=policies)


def episode(model: str, length: int, seed: int, rewards: bool = True, propensities: bool = False) -> Episode:
    draw = np.random.default_rng(seed)
    numbers = draw.normal(size=(length, 2)) if model == "box" else draw.integers(0, 3, length)
    made: Episode = {
        "observations": draw.normal(size=(length, 2)).round(3).tolist(),
        "actions": numbers.round(3).tolist(),
    }
    if rewards:
        made["rewards"] = draw.normal(size=length).round(3).tolist()
    if propensities:
        made["propensities"] = draw.uniform(0.02, 1, length).round(3).tolist()
    return made


def stage(model: str, *lengths: int, seed: int = 0, **told: bool) -> list[Episode]:
    return [episode(model, length, 10 * seed + index, **told) for index, length in enumerate(lengths)]


def adapted(client: TestClient, model: str, *stages: list[Episode], **fields: Any) -> dict[str, Any]:
    """An adaptation to stages, one after another."""
    first, *later = stages
    response = client.post("/adapt", json={"model": model, "support": {"episodes": first}} | fields)
    assert response.status_code == 201, response.text
    made: dict[str, Any] = response.json()
    for more in later:
        made = extended(client, made["adaptation_id"], more)
    return made


def extended(client: TestClient, id: str, episodes: list[Episode], **headers: str) -> dict[str, Any]:
    response = client.post(f"/adaptations/{id}/support", json={"episodes": episodes}, headers=headers)
    assert response.status_code == 200, response.text
    made: dict[str, Any] = response.json()
    return made


def policy(client: TestClient, id: str, queries: Sequence[Sequence[float]] = QUERIES) -> np.ndarray:
    """What an adaptation would do: probabilities, or mean and deviation."""
    return shown(client.post("/predict", json={"adaptation_id": id, "queries": queries}).json())


def shown(answer: dict[str, Any]) -> np.ndarray:
    if "probabilities" in answer:
        return np.array(answer["probabilities"])
    return np.concatenate([answer["mean"], answer["std"]], axis=1)


def offline(folder: Path, stages: Sequence[list[Episode]]) -> tuple[np.ndarray, list[float]]:
    """The same by the mathematics alone: what is done then, and the losses of the last stage."""
    bundle = load(folder)
    schema, bounds = bundle.manifest.schema, bundle.manifest.inner_loop
    assert schema.actions is not None
    assert schema.weighing is not None
    inner, state = batched(bundle.inner_loop()), repeat_state(bundle.inner_loop().init(bundle.meta), 1)
    rate, steps = torch.tensor([bounds.learning_rate]), torch.tensor([bounds.steps])
    for episodes in stages:
        seen, mask = padded([each["observations"] for each in episodes])
        actions, _ = padded([each["actions"] for each in episodes])
        if not schema.actions.is_box:
            actions = torch.eye(3)[actions[..., 0].long()]
        told = {
            name: padded([each[name] for each in episodes])[0][..., 0] if name in episodes[0] else None
            for name in ("rewards", "propensities")
        }
        worth = decision_weights.weights(seen, told["rewards"], told["propensities"], mask, schema.weighing)
        targets = torch.cat([actions, worth.unsqueeze(-1)], dim=-1)
        support = Examples(*(part.flatten(0, 1).unsqueeze(0) for part in (seen, targets, mask)))
        state, losses = adapt(inner, bundle.meta, support, Schedule(rate, steps, bounds.steps), start=state)
    outputs = inner.apply(bundle.meta, state, torch.tensor([QUERIES]))[0]
    shown = torch.cat(learn.mean_and_deviation(outputs), dim=1) if schema.actions.is_box else outputs.softmax(-1)
    return shown.detach().numpy(), losses[0].tolist()


def padded(rows: list[Any]) -> tuple[torch.Tensor, torch.Tensor]:
    """float32 [episode, time, column], and which are real."""
    arrays = [torch.tensor(each, dtype=torch.float32).reshape(len(each), -1) for each in rows]
    filled = torch.nn.utils.rnn.pad_sequence(arrays, batch_first=True)
    return filled, torch.arange(filled.shape[1]) < torch.tensor([len(each) for each in arrays])[:, None]


class TestAdapting:
    @every_model
    @pytest.mark.parametrize("told", [{}, {"rewards": False}, {"propensities": True}])
    def test_over_http_it_is_the_mathematics_alone(
        self, client: TestClient, policies: Path, model: str, told: dict[str, bool]
    ) -> None:
        stages = [stage(model, 4, 1, 6, seed=1, **told), stage(model, 2, 3, seed=2, **told)]
        made = adapted(client, model, *stages)
        expected, losses = offline(policies / model, stages)
        assert_same(policy(client, made["adaptation_id"]), expected)
        assert made["losses"] == pytest.approx(losses, rel=1e-4, abs=1e-6)
        assert (made["kind"], made["support_size"], made["examples"]) == ("decision", 5, [0, 1, 2, 3, 4])

    @every_model
    def test_the_order_of_the_stages_counts_and_that_of_the_episodes_does_not(
        self, client: TestClient, model: str
    ) -> None:
        one, two = stage(model, 4, 3, seed=1), stage(model, 5, 2, seed=2)
        forward, back, swapped, at_once = (
            policy(client, adapted(client, model, *each)["adaptation_id"])
            for each in ((one, two), (two, one), (one[::-1], two), (one + two,))
        )
        assert_same(forward, swapped)
        assert not np.allclose(forward, back, rtol=1e-4, atol=1e-4)
        assert not np.allclose(forward, at_once, rtol=1e-4, atol=1e-4)

    @every_model
    def test_in_one_call_nothing_is_kept(self, client: TestClient, model: str) -> None:
        episodes = stage(model, 4, 2)
        body = {"model": model, "support": {"episodes": episodes}, "queries": QUERIES}
        answer = client.post("/predict", json=body).json()
        assert_same(shown(answer), policy(client, adapted(client, model, episodes)["adaptation_id"]))
        assert len(answer["losses"]) == 3

    def test_raw_arrays_are_the_same(self, client: TestClient) -> None:
        for model in MODELS:
            episodes = stage(model, 4, 2, propensities=True)
            dtype = "float64" if model == "box" else "int64"
            arrays = [
                {key: raw(value, dtype if key == "actions" else "float32") for key, value in each.items()}
                for each in episodes
            ]
            for each in arrays:
                each["rewards"]["shape"] = each["rewards"]["shape"][:1]
            made = read(sent_as(client, "/adapt", {"model": model, "support": {"episodes": arrays}}, MSGPACK))
            expected = adapted(client, model, episodes)
            assert_same(policy(client, made["adaptation_id"]), policy(client, expected["adaptation_id"]))

    def test_sse_tell_each_loss(self, client: TestClient) -> None:
        body = {"model": "box", "support": {"episodes": stage("box", 4, 2)}, "steps": 4}
        *steps, (last, result) = events(client, body)
        assert last == "result"
        assert [data["loss"] for _, data in steps] == pytest.approx(result["losses"], rel=1e-5)

    def test_a_loss_below_0_is_no_divergence(self, client: TestClient) -> None:
        """Actions of a great density: the surprise is far below 0, and each step makes it less."""
        outright = [{"observations": [[0, 0]] * 9, "actions": [[0.0, 0.0]] * 9}]
        made = adapted(client, "box", outright, steps=10)
        assert made["losses"][-1] < made["losses"][0]
        assert made["status"] == "improved"

    @pytest.mark.parametrize("shapes", [(1, 1), (2, 3, 4)])
    def test_adaptations_of_different_depths_share_a_call(
        self, serve: Callable[..., TestClient], policies: Path, tmp_path: Path, shapes: tuple[int, ...]
    ) -> None:
        """After a restart all are derived again at once, each from its own stages."""
        settings = {"models_dir": policies, "store": "sqlite", "state_dir": tmp_path / "state"}
        first = serve(**settings)
        stages = [
            [stage("names", 2 + number, 3, seed=10 * number + depth) for depth in range(count)]
            for number, count in enumerate(shapes)
        ]
        ids = [adapted(first, "names", *each)["adaptation_id"] for each in stages]
        before = [policy(first, each) for each in ids]
        first.__exit__(None, None, None)
        again = post_lines(serve(**settings), "/predict", [{"adaptation_id": each, "queries": QUERIES} for each in ids])
        for one, two in zip(before, again, strict=True):
            assert_same(one, shown(two))


class TestChanging:
    @every_model
    def test_forgetting_an_episode_replays_what_is_left(self, client: TestClient, model: str) -> None:
        one, two = stage(model, 4, 3, 2, seed=1), stage(model, 5, 2, seed=2)
        its = adapted(client, model, one, two)["adaptation_id"]
        left = client.delete(f"/adaptations/{its}/support/1").json()
        assert (left["examples"], left["support_size"]) == ([0, 2, 3, 4], 4)
        expected = adapted(client, model, [one[0], one[2]], two)
        assert_same(policy(client, its), policy(client, expected["adaptation_id"]))
        for number in (0, 2):  # the first stage is empty then, and gone
            client.delete(f"/adaptations/{its}/support/{number}")
        assert_same(policy(client, its), policy(client, adapted(client, model, two)["adaptation_id"]))
        assert extended(client, its, stage(model, 2, seed=3))["examples"] == [3, 4, 5]

    def test_the_last_episode_stays(self, client: TestClient) -> None:
        its = adapted(client, "names", stage("names", 7))["adaptation_id"]
        assert client.delete(f"/adaptations/{its}/support/0").status_code == 409
        assert client.delete(f"/adaptations/{its}/support/1").status_code == 404

    @every_model
    def test_undo_takes_the_last_stage_back(self, client: TestClient, model: str) -> None:
        one, two, three = (stage(model, 4, 3, seed=seed) for seed in (1, 2, 3))
        its = adapted(client, model, one, two)["adaptation_id"]
        before = policy(client, its)
        extended(client, its, three)
        assert not np.allclose(policy(client, its), before, rtol=1e-4, atol=1e-4)
        back = client.post(f"/adaptations/{its}/undo").json()
        assert back["examples"] == [0, 1, 2, 3]
        assert_same(policy(client, its), before)

    def test_a_newer_bundle_replays_the_stages(self, client: TestClient, policies: Path) -> None:
        stages = [stage("box", 4, 3, seed=seed) for seed in (1, 2)]
        its = adapted(client, "box", *stages)["adaptation_id"]
        before = policy(client, its)
        write_policies(policies, seed=1)
        reload(client)
        assert_same(policy(client, its), offline(policies / "box", stages)[0])
        assert not np.allclose(policy(client, its), before, rtol=1e-3, atol=1e-3)
        assert client.get(f"/adaptations/{its}").json()["lineage"]

    def test_a_repeat_is_recognised(self, client: TestClient) -> None:
        body: dict[str, Any] = {"model": "names", "support": {"episodes": stage("names", 4, 2)}}
        one, two = (client.post("/adapt", json=body, headers={"Idempotency-Key": "k"}).json() for _ in range(2))
        assert one["adaptation_id"] == two["adaptation_id"]
        # the same decisions, but other episodes of them
        parts = body["support"]["episodes"]
        whole = {key: [row for part in parts for row in part[key]] for key in parts[0]}
        other = {"model": "names", "support": {"episodes": [whole]}}
        assert client.post("/adapt", json=other, headers={"Idempotency-Key": "k"}).status_code == 422
        more = stage("names", 3, seed=5)
        revisions = [extended(client, one["adaptation_id"], more, **{"Idempotency-Key": "m"})["revision"] for _ in "ab"]
        assert revisions == [2, 2]
        reused = [client.post("/adapt", json=body | {"reuse": True}).json()["adaptation_id"] for _ in range(2)]
        assert reused[0] == reused[1]

    def test_the_record_shows_its_episodes_and_its_stages(self, client: TestClient) -> None:
        one, two = stage("names", 4, 3, seed=1, propensities=True), stage("names", 2, seed=2, rewards=False)
        its = adapted(client, "names", one, two)["adaptation_id"]
        client.delete(f"/adaptations/{its}/support/0")
        found = client.get(f"/adaptations/{its}/support").json()
        assert found["examples"] == [1, 2]
        assert [each.pop("stage") for each in found["episodes"]] == [1, 2]
        assert found["episodes"][0]["actions"] == one[1]["actions"]
        for shown, sent in zip(found["episodes"], [one[1], two[0]], strict=True):
            assert shown.keys() == sent.keys()
            for key, value in sent.items():
                np.testing.assert_allclose(shown[key], value, rtol=1e-6)
        added = [each["added"] for each in client.get(f"/adaptations/{its}/history").json()["revisions"]]
        assert added == [[1], [2], []]


class TestActing:
    def test_the_most_probable_action_and_the_mean(self, client: TestClient) -> None:
        names = client.post("/predict", json={"model": "names", "queries": QUERIES}).json()
        assert names["predictions"] == np.argmax(names["probabilities"], axis=1).tolist()
        box = client.post("/predict", json={"model": "box", "queries": [[9, 9], *QUERIES]}).json()
        np.testing.assert_allclose(box["predictions"], np.clip(box["mean"], [-1, -0.5], [1, 0.5]), rtol=1e-6)

    @every_model
    def test_draws_depend_on_the_seed_and_the_place_alone(self, client: TestClient, model: str) -> None:
        its = adapted(client, model, stage(model, 4))["adaptation_id"]

        def drawn(queries: list[list[float]], **fields: Any) -> np.ndarray:
            body = {"adaptation_id": its, "queries": queries, "sample": True}
            return np.array(client.post("/predict", json=body | fields).json()["predictions"])

        many = [[0.1 * index, -0.1] for index in range(40)]
        assert_same(drawn(many, seed=3), drawn(many, seed=3))
        assert_same(drawn(many[:7], seed=3), drawn(many, seed=3)[:7])
        assert not np.allclose(drawn(many, seed=4), drawn(many, seed=3))
        assert not np.allclose(drawn(many), drawn(many))

    @every_model
    def test_what_was_drawn_can_be_learned_from(self, client: TestClient, model: str) -> None:
        queries = np.random.default_rng(0).normal(size=(50, 2)).tolist()
        answer = client.post("/predict", json={"model": model, "queries": queries, "sample": True, "seed": 1}).json()
        rewards = np.arange(50.0).tolist()
        done = {"observations": queries, "actions": answer["predictions"], "rewards": rewards}
        if model != "box":
            likely = np.array(answer["probabilities"])
            done["propensities"] = likely[np.arange(50), answer["predictions"]].tolist()
        adapted(client, model, [done])

    def test_models_say_what_they_see_and_do(self, client: TestClient) -> None:
        names, box = (client.get(f"/models/{name}").json() for name in ("names", "box"))
        assert names["features"] == 2
        assert names["actions"] == {"form": "discrete", "count": 3}
        assert box["actions"] == {"form": "box", "low": [-1.0, -0.5], "high": [1.0, 0.5]}


GOOD = {"observations": [[0, 1], [1, 0]], "actions": [0, 2], "rewards": [1, 2], "propensities": [0.5, 1]}
NUMBERS = GOOD | {"actions": [[0, 1], [1, 0]]}


@pytest.mark.parametrize(
    ("model", "episodes", "says", "place"),
    [
        ("names", [], "", "support.episodes"),
        ("names", [GOOD | {"observations": []}], "", "support.episodes[0].observations"),
        ("names", [GOOD | {"observations": [[0], [1]]}], "2 features expected, got 1", "episodes[0].observations[0]"),
        ("names", [GOOD, GOOD | {"actions": [0, 3]}], "from 0 to 2, got 3", "support.episodes[1].actions[1]"),
        ("names", [GOOD | {"actions": [-1, 0]}], "from 0 to 2, got -1", "support.episodes[0].actions[0]"),
        ("names", [GOOD | {"actions": [0.5, 0]}], "from 0 to 2, got 0.5", "support.episodes[0].actions[0]"),
        ("names", [GOOD | {"actions": [[0, 1], 0]}], "1 number expected, got 2", "support.episodes[0].actions[0]"),
        ("names", [GOOD | {"actions": ["left", 0]}], "", "support.episodes[0].actions[0]"),
        ("names", [GOOD | {"actions": [True, False]}], "", "support.episodes[0].actions[0]"),
        ("box", [NUMBERS | {"actions": [[0, 1], [0]]}], "2 numbers expected, got 1", "support.episodes[0].actions[1]"),
        ("box", [NUMBERS | {"actions": [0, 1]}], "2 numbers expected, got 1", "support.episodes[0].actions[0]"),
        ("names", [GOOD | {"actions": [0]}], "2 observations but 1 actions", "support.episodes[0]"),
        ("names", [GOOD, GOOD | {"rewards": [1, 2, 3]}], "2 observations but 3 rewards", "support.episodes[1]"),
        ("names", [GOOD | {"rewards": []}], "", "support.episodes[0].rewards"),
        ("names", [GOOD | {"rewards": [1, None]}], "", "support.episodes[0].rewards[1]"),
        ("names", [GOOD | {"rewards": [1, 1e39]}], "not finite in float32", "support.episodes[0].rewards[1][0]"),
        ("names", [GOOD | {"propensities": [0.5]}], "2 observations but 1 propensities", "support.episodes[0]"),
        ("names", [GOOD | {"propensities": [0.5, 0]}], "above 0 and up to 1, got 0", "episodes[0].propensities[1]"),
        ("names", [GOOD | {"propensities": [-0.5, 1]}], "got -0.5", "support.episodes[0].propensities[0]"),
        ("names", [GOOD | {"propensities": [0.5, 1.5]}], "got 1.5", "support.episodes[0].propensities[1]"),
        ("box", [NUMBERS | {"propensities": [0.5, 0]}], "a density above 0, got 0", "episodes[0].propensities[1]"),
        ("names", [GOOD, {k: GOOD[k] for k in ("observations", "actions")}], "has rewards", "support.episodes[1]"),
        ("names", [GOOD | {"done": True}], "unknown field `done`", "support.episodes[0]"),
        ("names", [{"actions": [0]}], "missing required field `observations`", "support.episodes[0]"),
        ("names", [GOOD] * 101, "at most 100 episodes, got 101", "support.episodes"),
    ],
)
def test_what_is_wrong_with_episodes_is_said_with_its_place(
    serve: Callable[..., TestClient], policies: Path, model: str, episodes: Any, says: str, place: str
) -> None:
    client = serve(models_dir=policies, max_support_examples=100)
    response = client.post("/adapt", json={"model": model, "support": {"episodes": episodes}})
    assert response.status_code == 422, response.text
    problem = response.json()
    assert says in problem["detail"]
    assert problem["place"].endswith(place)


@pytest.mark.parametrize(
    ("path", "body", "says", "place"),
    [
        ("/adapt", {"support": {"inputs": [[0, 1]], "targets": [1]}}, "leave inputs and targets out", "support"),
        ("/adapt", {"support": {}}, "object missing required field `episodes`", "support"),
        ("/adapt", {"support": {"episodes": [GOOD, GOOD]}, "assess": "leave_one_out"}, "leave assess out", "assess"),
        ("/predict", {"queries": [[0, 1]], "seed": 1}, "a seed is for drawing actions", "seed"),
        ("/predict", {"queries": [[0, 1]], "sample": True, "seed": -1}, "", "seed"),
        (
            "/predict",
            {"support": {"episodes": [GOOD]}, "queries": [[0, 1]], "interval": 0.9},
            "no intervals",
            "interval",
        ),
    ],
)
def test_what_does_not_go_with_decisions_is_said(
    client: TestClient, path: str, body: dict[str, Any], says: str, place: str
) -> None:
    response = client.post(path, json={"model": "names"} | body)
    assert response.status_code == 422, response.text
    assert says in response.json()["detail"]
    assert response.json()["place"] == place


def test_episodes_of_very_different_lengths_are_not_padded_without_end(client: TestClient) -> None:
    long = {"observations": [[0, 0]] * 9000, "actions": [0] * 9000}
    short = {"observations": [[0, 0]], "actions": [0]}
    response = client.post("/adapt", json={"model": "names", "support": {"episodes": [long, *[short] * 999]}})
    assert response.status_code == 422
    assert "send the long ones apart" in response.json()["detail"]


def test_models_of_other_kinds_take_no_episodes(serve: Callable[..., TestClient]) -> None:
    client = serve()
    response = client.post("/adapt", json={"model": "sinusoid", "support": {"episodes": [GOOD]}})
    assert "leave episodes out at support" in response.json()["detail"]
    response = client.post("/predict", json={"model": "sinusoid", "queries": [[1]], "sample": True})
    assert "is no policy: leave sample out at sample" in response.json()["detail"]
