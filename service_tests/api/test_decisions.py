"""Decisions over HTTP: episodes adapt a policy stage by stage, and queries are answered with actions."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest
import torch
from fastapi.testclient import TestClient

from app.api import schemas
from app.api.episodes import read_episodes
from app.bundles.folder import load
from app.encoders.numbers import NumbersEncoder
from app.encoders.spec import EncoderSpec
from app.learn import decision_weights
from app.learn import policies as learn
from app.learn.inner import Examples, Schedule, adapt, batched, repeat_state
from service_tests.api.requests import assert_same, reload
from service_tests.api.test_msgpack import MSGPACK, decoded, post_as, raw
from service_tests.api.test_ndjson import post_lines
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
    generator = np.random.default_rng(seed)
    actions = generator.normal(size=(length, 2)) if model == "box" else generator.integers(0, 3, length)
    result: Episode = {
        "observations": generator.normal(size=(length, 2)).round(3).tolist(),
        "actions": actions.round(3).tolist(),
    }
    if rewards:
        result["rewards"] = generator.normal(size=length).round(3).tolist()
    if propensities:
        result["propensities"] = generator.uniform(0.02, 1, length).round(3).tolist()
    return result


def stage(model: str, *lengths: int, seed: int = 0, **fields: bool) -> list[Episode]:
    return [episode(model, length, 10 * seed + index, **fields) for index, length in enumerate(lengths)]


def adapt_to(client: TestClient, model: str, *stages: list[Episode], **fields: Any) -> dict[str, Any]:
    """Create an adaptation to the first stage, and extend it by the others one by one."""
    first, *later = stages
    response = client.post("/adapt", json={"model": model, "support": {"episodes": first}} | fields)
    assert response.status_code == 201, response.text
    adaptation: dict[str, Any] = response.json()
    for more in later:
        adaptation = extend(client, adaptation["adaptation_id"], more)
    return adaptation


def extend(client: TestClient, adaptation_id: str, episodes: list[Episode], **headers: str) -> dict[str, Any]:
    response = client.post(f"/adaptations/{adaptation_id}/support", json={"episodes": episodes}, headers=headers)
    assert response.status_code == 200, response.text
    adaptation: dict[str, Any] = response.json()
    return adaptation


def action_distribution(
    client: TestClient, adaptation_id: str, queries: Sequence[Sequence[float]] = QUERIES
) -> np.ndarray:
    """The distribution of actions for each query: probabilities, or mean and standard deviation."""
    return distribution(client.post("/predict", json={"adaptation_id": adaptation_id, "queries": queries}).json())


def distribution(answer: dict[str, Any]) -> np.ndarray:
    if "probabilities" in answer:
        return np.array(answer["probabilities"])
    return np.concatenate([answer["mean"], answer["std"]], axis=1)


def offline(folder: Path, stages: Sequence[list[Episode]]) -> tuple[np.ndarray, list[float]]:
    """The same computed without a server: the distribution of actions, and the losses of the last stage."""
    bundle = load(folder)
    schema, bounds = bundle.manifest.schema, bundle.manifest.inner_loop
    assert schema.actions is not None
    assert schema.weighing is not None
    inner, state = batched(bundle.inner_loop()), repeat_state(bundle.inner_loop().init(bundle.meta), 1)
    rate, steps = torch.tensor([bounds.learning_rate]), torch.tensor([bounds.steps])
    for episodes in stages:
        observations, mask = padded([each["observations"] for each in episodes])
        actions, _ = padded([each["actions"] for each in episodes])
        if not schema.actions.is_box:
            actions = torch.eye(3)[actions[..., 0].long()]
        optional = {
            name: padded([each[name] for each in episodes])[0][..., 0] if name in episodes[0] else None
            for name in ("rewards", "propensities")
        }
        weights = decision_weights.weights(
            observations, optional["rewards"], optional["propensities"], mask, schema.weighing
        )
        targets = torch.cat([actions, weights.unsqueeze(-1)], dim=-1)
        support = Examples(*(part.flatten(0, 1).unsqueeze(0) for part in (observations, targets, mask)))
        state, losses = adapt(inner, bundle.meta, support, Schedule(rate, steps, bounds.steps), start=state)
    outputs = inner.apply(bundle.meta, state, torch.tensor([QUERIES]))[0]
    expected = torch.cat(learn.mean_and_deviation(outputs), dim=1) if schema.actions.is_box else outputs.softmax(-1)
    return expected.detach().numpy(), losses[0].tolist()


def padded(rows: list[Any]) -> tuple[torch.Tensor, torch.Tensor]:
    """The rows as float32 [episode, time, column], and a mask [episode, time] of those that are not padding."""
    arrays = [torch.tensor(each, dtype=torch.float32).reshape(len(each), -1) for each in rows]
    filled = torch.nn.utils.rnn.pad_sequence(arrays, batch_first=True)
    return filled, torch.arange(filled.shape[1]) < torch.tensor([len(each) for each in arrays])[:, None]


class TestAdapting:
    @every_model
    @pytest.mark.parametrize("fields", [{}, {"rewards": False}, {"propensities": True}])
    def test_adapting_over_http_equals_the_mathematics_alone(
        self, client: TestClient, policies: Path, model: str, fields: dict[str, bool]
    ) -> None:
        lengths = (4, 1, 6), (2, 3), (1,)
        stages = [stage(model, *each, seed=seed, **fields) for seed, each in enumerate(lengths, 1)]
        adaptation = adapt_to(client, model, *stages)
        expected, losses = offline(policies / model, stages)
        assert_same(action_distribution(client, adaptation["adaptation_id"]), expected)
        assert adaptation["losses"] == pytest.approx(losses, rel=1e-4, abs=1e-6)
        assert (adaptation["kind"], adaptation["support_size"]) == ("decision", 6)
        assert adaptation["examples"] == [0, 1, 2, 3, 4, 5]

    @every_model
    def test_the_order_of_stages_matters_and_the_order_of_episodes_does_not(
        self, client: TestClient, model: str
    ) -> None:
        one, two = stage(model, 4, 3, seed=1), stage(model, 5, 2, seed=2)
        forward, back, swapped, at_once = (
            action_distribution(client, adapt_to(client, model, *each)["adaptation_id"])
            for each in ((one, two), (two, one), (one[::-1], two), (one + two,))
        )
        assert_same(forward, swapped)
        assert not np.allclose(forward, back, rtol=1e-4, atol=1e-4)
        assert not np.allclose(forward, at_once, rtol=1e-4, atol=1e-4)

    @every_model
    def test_one_call_equals_adapting_and_predicting(self, client: TestClient, model: str) -> None:
        episodes = stage(model, 4, 2)
        body = {"model": model, "support": {"episodes": episodes}, "queries": QUERIES}
        answer = client.post("/predict", json=body).json()
        assert_same(
            distribution(answer), action_distribution(client, adapt_to(client, model, episodes)["adaptation_id"])
        )
        assert len(answer["losses"]) == 3

    def test_raw_arrays_give_the_same_policy(self, client: TestClient) -> None:
        for model in MODELS:
            episodes = stage(model, 4, 2, propensities=True)
            dtype = "float64" if model == "box" else "int64"
            arrays = [
                {key: raw(value, dtype if key == "actions" else "float32") for key, value in each.items()}
                for each in episodes
            ]
            for each in arrays:
                each["rewards"]["shape"] = each["rewards"]["shape"][:1]
            adaptation = decoded(post_as(client, "/adapt", {"model": model, "support": {"episodes": arrays}}, MSGPACK))
            expected = adapt_to(client, model, episodes)
            assert_same(
                action_distribution(client, adaptation["adaptation_id"]),
                action_distribution(client, expected["adaptation_id"]),
            )

    def test_sse_sends_each_loss(self, client: TestClient) -> None:
        body = {"model": "box", "support": {"episodes": stage("box", 4, 2)}, "steps": 4}
        *steps, (last, result) = events(client, body)
        assert last == "result"
        assert [data["loss"] for _, data in steps] == pytest.approx(result["losses"], rel=1e-5)

    def test_a_negative_loss_is_not_a_divergence(self, client: TestClient) -> None:
        """The policy gives these actions a high density: the loss is far below 0, and each step lowers it."""
        episodes = [{"observations": [[0, 0]] * 9, "actions": [[0.0, 0.0]] * 9}]
        adaptation = adapt_to(client, "box", episodes, steps=10)
        assert adaptation["losses"][-1] < adaptation["losses"][0]
        assert adaptation["status"] == "improved"

    @pytest.mark.parametrize("shapes", [(1, 1), (2, 3, 4)])
    def test_adaptations_with_different_numbers_of_stages_share_a_call(
        self, serve: Callable[..., TestClient], policies: Path, tmp_path: Path, shapes: tuple[int, ...]
    ) -> None:
        """After a restart all are derived again in one call, each from its own stages."""
        settings = {"models_dir": policies, "store": "sqlite", "state_dir": tmp_path / "state"}
        first = serve(**settings)
        stages = [
            [stage("names", 2 + number, 3, seed=10 * number + depth) for depth in range(count)]
            for number, count in enumerate(shapes)
        ]
        ids = [adapt_to(first, "names", *each)["adaptation_id"] for each in stages]
        before = [action_distribution(first, each) for each in ids]
        first.__exit__(None, None, None)
        after = post_lines(serve(**settings), "/predict", [{"adaptation_id": each, "queries": QUERIES} for each in ids])
        for one, two in zip(before, after, strict=True):
            assert_same(one, distribution(two))


class TestChanging:
    @every_model
    def test_forgetting_an_episode_replays_the_rest(self, client: TestClient, model: str) -> None:
        one, two = stage(model, 4, 3, 2, seed=1), stage(model, 5, 2, seed=2)
        adaptation_id = adapt_to(client, model, one, two)["adaptation_id"]
        answer = client.delete(f"/adaptations/{adaptation_id}/support/1").json()
        assert (answer["examples"], answer["support_size"]) == ([0, 2, 3, 4], 4)
        expected = adapt_to(client, model, [one[0], one[2]], two)
        assert_same(action_distribution(client, adaptation_id), action_distribution(client, expected["adaptation_id"]))
        for number in (0, 2):  # the first stage is then empty and disappears
            client.delete(f"/adaptations/{adaptation_id}/support/{number}")
        assert_same(
            action_distribution(client, adaptation_id),
            action_distribution(client, adapt_to(client, model, two)["adaptation_id"]),
        )
        assert extend(client, adaptation_id, stage(model, 2, seed=3))["examples"] == [3, 4, 5]

    def test_the_last_episode_cannot_be_forgotten(self, client: TestClient) -> None:
        adaptation_id = adapt_to(client, "names", stage("names", 7))["adaptation_id"]
        assert client.delete(f"/adaptations/{adaptation_id}/support/0").status_code == 409
        assert client.delete(f"/adaptations/{adaptation_id}/support/1").status_code == 404

    @every_model
    def test_undo_removes_the_last_stage(self, client: TestClient, model: str) -> None:
        one, two, three = (stage(model, 4, 3, seed=seed) for seed in (1, 2, 3))
        adaptation_id = adapt_to(client, model, one, two)["adaptation_id"]
        before = action_distribution(client, adaptation_id)
        extend(client, adaptation_id, three)
        assert not np.allclose(action_distribution(client, adaptation_id), before, rtol=1e-4, atol=1e-4)
        undone = client.post(f"/adaptations/{adaptation_id}/undo").json()
        assert undone["examples"] == [0, 1, 2, 3]
        assert_same(action_distribution(client, adaptation_id), before)

    def test_a_newer_bundle_replays_the_stages(self, client: TestClient, policies: Path) -> None:
        stages = [stage("box", 4, 3, seed=seed) for seed in (1, 2)]
        adaptation_id = adapt_to(client, "box", *stages)["adaptation_id"]
        before = action_distribution(client, adaptation_id)
        write_policies(policies, seed=1)
        reload(client)
        assert_same(action_distribution(client, adaptation_id), offline(policies / "box", stages)[0])
        assert not np.allclose(action_distribution(client, adaptation_id), before, rtol=1e-3, atol=1e-3)
        assert client.get(f"/adaptations/{adaptation_id}").json()["lineage"]

    def test_repeated_requests_are_recognised(self, client: TestClient) -> None:
        body: dict[str, Any] = {"model": "names", "support": {"episodes": stage("names", 4, 2)}}
        one, two = (client.post("/adapt", json=body, headers={"Idempotency-Key": "k"}).json() for _ in range(2))
        assert one["adaptation_id"] == two["adaptation_id"]
        # the same decisions, but divided into other episodes
        parts = body["support"]["episodes"]
        whole = {key: [row for part in parts for row in part[key]] for key in parts[0]}
        other = {"model": "names", "support": {"episodes": [whole]}}
        assert client.post("/adapt", json=other, headers={"Idempotency-Key": "k"}).status_code == 422
        more = stage("names", 3, seed=5)
        revisions = [extend(client, one["adaptation_id"], more, **{"Idempotency-Key": "m"})["revision"] for _ in "ab"]
        assert revisions == [2, 2]
        reused = [client.post("/adapt", json=body | {"reuse": True}).json()["adaptation_id"] for _ in range(2)]
        assert reused[0] == reused[1]

    def test_the_support_shows_episodes_and_their_stages(self, client: TestClient) -> None:
        one, two = stage("names", 4, 3, seed=1, propensities=True), stage("names", 2, seed=2, rewards=False)
        adaptation_id = adapt_to(client, "names", one, two)["adaptation_id"]
        client.delete(f"/adaptations/{adaptation_id}/support/0")
        support = client.get(f"/adaptations/{adaptation_id}/support").json()
        assert support["examples"] == [1, 2]
        assert [each.pop("stage") for each in support["episodes"]] == [1, 2]
        assert support["episodes"][0]["actions"] == one[1]["actions"]
        for stored, posted in zip(support["episodes"], [one[1], two[0]], strict=True):
            assert stored.keys() == posted.keys()
            for key, value in posted.items():
                np.testing.assert_allclose(stored[key], value, rtol=1e-6)
        added = [each["added"] for each in client.get(f"/adaptations/{adaptation_id}/history").json()["revisions"]]
        assert added == [[1], [2], []]


class TestActing:
    def test_predictions_are_the_most_probable_action_or_the_mean(self, client: TestClient) -> None:
        names = client.post("/predict", json={"model": "names", "queries": QUERIES}).json()
        assert names["predictions"] == np.argmax(names["probabilities"], axis=1).tolist()
        box = client.post("/predict", json={"model": "box", "queries": [[9, 9], *QUERIES]}).json()
        np.testing.assert_allclose(box["predictions"], np.clip(box["mean"], [-1, -0.5], [1, 0.5]), rtol=1e-6)

    @every_model
    def test_draws_depend_only_on_the_seed_and_the_position(self, client: TestClient, model: str) -> None:
        adaptation_id = adapt_to(client, model, stage(model, 4))["adaptation_id"]

        def draw(queries: list[list[float]], **fields: Any) -> np.ndarray:
            body = {"adaptation_id": adaptation_id, "queries": queries, "sample": True}
            return np.array(client.post("/predict", json=body | fields).json()["predictions"])

        many_queries = [[0.1 * index, -0.1] for index in range(40)]
        assert_same(draw(many_queries, seed=3), draw(many_queries, seed=3))
        assert_same(draw(many_queries[:7], seed=3), draw(many_queries, seed=3)[:7])
        assert not np.allclose(draw(many_queries, seed=4), draw(many_queries, seed=3))
        assert not np.allclose(draw(many_queries), draw(many_queries))

    @every_model
    def test_drawn_actions_can_be_posted_as_an_episode(self, client: TestClient, model: str) -> None:
        queries = np.random.default_rng(0).normal(size=(50, 2)).tolist()
        answer = client.post("/predict", json={"model": model, "queries": queries, "sample": True, "seed": 1}).json()
        rewards = np.arange(50.0).tolist()
        episode = {"observations": queries, "actions": answer["predictions"], "rewards": rewards}
        if model != "box":
            probabilities = np.array(answer["probabilities"])
            episode["propensities"] = probabilities[np.arange(50), answer["predictions"]].tolist()
        adaptation_id = adapt_to(client, model, [episode])["adaptation_id"]
        (stored,) = client.get(f"/adaptations/{adaptation_id}/support").json()["episodes"]
        assert stored.pop("stage") == 1
        assert stored.keys() == episode.keys()
        for key, value in episode.items():
            np.testing.assert_allclose(stored[key], value, rtol=1e-6)

    def test_models_describe_their_observations_and_actions(self, client: TestClient) -> None:
        names, box = (client.get(f"/models/{name}").json() for name in ("names", "box"))
        assert names["features"] == 2
        assert names["actions"] == {"form": "discrete", "count": 3}
        assert box["actions"] == {"form": "box", "low": [-1.0, -0.5], "high": [1.0, 0.5]}


GOOD = {"observations": [[0, 1], [1, 0]], "actions": [0, 2], "rewards": [1, 2], "propensities": [0.5, 1]}
NUMBERS = GOOD | {"actions": [[0, 1], [1, 0]]}


@pytest.mark.parametrize(
    ("model", "episodes", "detail", "place"),
    [
        ("names", [], "", "support.episodes"),
        ("names", [GOOD | {"observations": []}], "", "support.episodes[0].observations"),
        ("names", [GOOD | {"observations": [[0], [1]]}], "expected 2 numbers, got 1", "episodes[0].observations[0]"),
        ("names", [GOOD, GOOD | {"actions": [0, 3]}], "from 0 to 2, got 3", "support.episodes[1].actions[1]"),
        ("names", [GOOD | {"actions": [-1, 0]}], "from 0 to 2, got -1", "support.episodes[0].actions[0]"),
        ("names", [GOOD | {"actions": [0.5, 0]}], "from 0 to 2, got 0.5", "support.episodes[0].actions[0]"),
        ("names", [GOOD | {"actions": [[0, 1], 0]}], "expected 1 number, got 2", "support.episodes[0].actions[0]"),
        ("names", [GOOD | {"actions": ["left", 0]}], "", "support.episodes[0].actions[0]"),
        ("names", [GOOD | {"actions": [True, False]}], "", "support.episodes[0].actions[0]"),
        ("box", [NUMBERS | {"actions": [[0, 1], [0]]}], "expected 2 numbers, got 1", "support.episodes[0].actions[1]"),
        ("box", [NUMBERS | {"actions": [0, 1]}], "expected 2 numbers, got 1", "support.episodes[0].actions[0]"),
        (
            "names",
            [GOOD | {"actions": [0]}],
            "expected as many actions as observations, got 1 and 2",
            "support.episodes[0]",
        ),
        (
            "names",
            [GOOD, GOOD | {"rewards": [1, 2, 3]}],
            "expected as many rewards as observations, got 3 and 2",
            "support.episodes[1]",
        ),
        ("names", [GOOD | {"rewards": []}], "", "support.episodes[0].rewards"),
        ("names", [GOOD | {"rewards": [1, None]}], "", "support.episodes[0].rewards[1]"),
        (
            "names",
            [GOOD | {"rewards": [1, 1e39]}],
            "expected a finite float32 number",
            "support.episodes[0].rewards[1]",
        ),
        (
            "names",
            [GOOD | {"propensities": [0.5]}],
            "expected as many propensities as observations, got 1 and 2",
            "support.episodes[0]",
        ),
        ("names", [GOOD | {"propensities": [0.5, 0]}], "above 0 and at most 1, got 0", "episodes[0].propensities[1]"),
        ("names", [GOOD | {"propensities": [-0.5, 1]}], "got -0.5", "support.episodes[0].propensities[0]"),
        ("names", [GOOD | {"propensities": [0.5, 1.5]}], "got 1.5", "support.episodes[0].propensities[1]"),
        ("box", [NUMBERS | {"propensities": [0.5, 0]}], "a density above 0, got 0", "episodes[0].propensities[1]"),
        ("names", [GOOD, {k: GOOD[k] for k in ("observations", "actions")}], "as in episode 0", "episodes[1].rewards"),
        ("names", [GOOD | {"done": True}], "an unknown field", "support.episodes[0].done"),
        ("names", [{"actions": [0]}], "add the field", "support.episodes[0].observations"),
        (
            "names",
            [GOOD] * 101,
            "expected at most 100 episodes (INNERLOOP_MAX_SUPPORT_EXAMPLES), got 101",
            "support.episodes",
        ),
    ],
)
def test_a_wrong_episode_gets_a_problem_with_its_place(
    serve: Callable[..., TestClient], policies: Path, model: str, episodes: Any, detail: str, place: str
) -> None:
    client = serve(models_dir=policies, max_support_examples=100)
    response = client.post("/adapt", json={"model": model, "support": {"episodes": episodes}})
    assert response.status_code == 422, response.text
    problem = response.json()
    assert detail in problem["detail"]
    assert problem["place"].endswith(place)


@pytest.mark.parametrize(
    ("path", "body", "detail", "place"),
    [
        ("/adapt", {"support": {"inputs": [[0, 1]], "targets": [1]}}, "leave inputs and targets out", "support"),
        ("/adapt", {"support": {}}, "add the field", "support.episodes"),
        ("/adapt", {"support": {"episodes": [GOOD, GOOD]}, "assess": "leave_one_out"}, "leave assess out", "assess"),
        ("/predict", {"queries": [[0, 1]], "seed": 1}, "seed: this needs", "seed"),
        ("/predict", {"queries": [[0, 1]], "sample": True, "seed": -1}, "", "seed"),
        (
            "/predict",
            {"support": {"episodes": [GOOD]}, "queries": [[0, 1]], "interval": 0.9},
            "does not predict numbers",
            "interval",
        ),
    ],
)
def test_fields_that_do_not_fit_decisions_are_refused(
    client: TestClient, path: str, body: dict[str, Any], detail: str, place: str
) -> None:
    response = client.post(path, json={"model": "names"} | body)
    assert response.status_code == 422, response.text
    assert detail in response.json()["detail"]
    assert response.json()["place"] == place


def test_the_padding_of_episodes_is_bounded(client: TestClient) -> None:
    long = {"observations": [[0, 0]] * 9000, "actions": [0] * 9000}
    short = {"observations": [[0, 0]], "actions": [0]}
    response = client.post("/adapt", json={"model": "names", "support": {"episodes": [long, *[short] * 999]}})
    assert response.status_code == 422
    assert "send the longest episodes in separate requests" in response.json()["detail"]


def test_models_of_other_kinds_refuse_episodes(serve: Callable[..., TestClient]) -> None:
    client = serve()
    response = client.post("/adapt", json={"model": "sinusoid", "support": {"episodes": [GOOD]}})
    assert "leave episodes out" in response.json()["detail"]
    response = client.post("/predict", json={"model": "sinusoid", "queries": [[1]], "sample": True})
    assert "only policies draw actions, so leave sample out" in response.json()["detail"]


@pytest.mark.parametrize(("names", "row"), [((), [0, 1]), (("east", "north"), {"north": 1, "east": 0})])
def test_episodes_say_whether_their_observations_have_names(policies: Path, names: tuple[str, ...], row: Any) -> None:
    bundle = load(policies / "names")
    manifest = replace(bundle.manifest, encoder=EncoderSpec.of(NumbersEncoder((2,), names)))
    episodes = msgspec.convert([GOOD, GOOD | {"observations": [row] * 2}], list[schemas.Episode])
    assert read_episodes(episodes, replace(bundle, manifest=manifest), "episodes").named_inputs is bool(names)
