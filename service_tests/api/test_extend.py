"""POST /adaptations/{id}/support: adding examples equals adapting to all of them at once."""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest
from fastapi.testclient import TestClient

from app.bundles.folder import load
from app.service.adaptation_defaults import AdaptationDefaults
from app.service.adaptations import Adaptations
from app.service.catalogue import Catalogue
from app.service.commands import AdaptCommand
from app.service.concurrent_changes import Changes
from app.service.engine import Engine
from app.service.lanes import Lanes
from app.service.model import Model
from app.service.record import InnerLoopSettings
from app.service.store_protocol import Quota
from app.service.support_set import SupportSet
from app.service.version_choice import VersionChoice
from app.service.work_queue import WorkQueue
from app.storage.memory import MemoryStore
from service_tests.api.requests import WAVE, adapt, assert_same, examples, fresh_predictions, get_support, predictions
from service_tests.conftest import Clock

MORE: dict[str, list[Any]] = {"inputs": [[3], [-3]], "targets": [0.56, -0.56]}
ALL = {key: WAVE[key] + MORE[key] for key in WAVE}


@pytest.mark.parametrize("store", ["memory", "sqlite"])
def test_extending_keeps_the_id_and_makes_the_next_revision(
    serve: Callable[..., TestClient], store: str, tmp_path: Path
) -> None:
    client = serve(store=store, state_dir=tmp_path)
    adaptation = adapt(client, label="pump 17", ttl_s=60)
    response = client.post(f"/adaptations/{adaptation['adaptation_id']}/support", json=MORE)
    assert response.status_code == 200
    extended = response.json()
    assert extended["examples"] == [0, 1, 2, 3, 4, 5, 6]
    assert extended["support_size"] == 7
    assert extended["revision"] == 2
    at_once = adapt(client, ALL)
    assert extended["losses"] == pytest.approx(at_once["losses"], rel=1e-5)
    changed = ("examples", "support_size", "revision", "losses")
    assert {key: extended[key] for key in extended if key not in changed} == {
        key: adaptation[key] for key in adaptation if key not in changed
    }
    assert client.get(f"/adaptations/{adaptation['adaptation_id']}").json() == extended
    assert_same(predictions(client, adaptation["adaptation_id"]), predictions(client, at_once["adaptation_id"]))
    assert get_support(client, adaptation["adaptation_id"])["inputs"] == ALL["inputs"]


def test_extending_keeps_steps_and_rate(client: TestClient) -> None:
    adaptation = adapt(client, steps=2, learning_rate=0.003)
    extended = client.post(f"/adaptations/{adaptation['adaptation_id']}/support", json=MORE).json()
    assert (extended["steps"], extended["learning_rate"]) == (2, 0.003)
    assert_same(
        predictions(client, adaptation["adaptation_id"]), fresh_predictions(client, ALL, steps=2, learning_rate=0.003)
    )


def test_msgpack_is_accepted_and_returned(client: TestClient) -> None:
    adaptation_id = adapt(client)["adaptation_id"]
    raw = {key: {"shape": [2, 1], "data": np.array(MORE[key], "<f4").tobytes(), "dtype": "float32"} for key in MORE}
    response = client.post(
        f"/adaptations/{adaptation_id}/support",
        content=msgspec.msgpack.encode(raw),
        headers={"content-type": "application/msgpack"},
    )
    assert response.headers["content-type"] == "application/msgpack"
    assert msgspec.msgpack.decode(response.content)["revision"] == 2
    assert_same(predictions(client, adaptation_id), fresh_predictions(client, ALL))


@pytest.mark.parametrize(
    ("more", "detail", "place"),
    [
        ({"inputs": [[1, 2]], "targets": [1]}, "expected 1 number, got 2", "inputs[0]"),
        ({"inputs": [[1]], "targets": [[1, 2]]}, "expected 1 number, got 2", "targets[0]"),
        ({"inputs": [[1], [2]], "targets": [1]}, "expected as many inputs as targets, got 2 and 1", None),
        ({"inputs": [], "targets": []}, "expected at least 1 element", "inputs"),
        (
            {"inputs": [[1e39]], "targets": [1]},
            "expected a finite float32 number, got 1e+39",
            "inputs[0][0]",
        ),
        (
            {"inputs": [[1]] * 96, "targets": [1] * 96},
            "expected at most 100 examples in all (INNERLOOP_MAX_SUPPORT_EXAMPLES), got 96 in addition to 5",
            "inputs",
        ),
        (
            {"inputs": [[1]] * 101, "targets": [1] * 101},
            "expected at most 100 examples (INNERLOOP_MAX_SUPPORT_EXAMPLES), got 101",
            None,
        ),
        ({"inputs": [[1]]}, "expected a value, got none: add the field", "targets"),
        ({"support": MORE}, "an unknown field", "support"),
    ],
)
def test_wrong_examples_get_a_problem_with_their_place(
    serve: Callable[..., TestClient], more: Any, detail: str, place: str | None
) -> None:
    client = serve(max_support_examples=100)
    adaptation = adapt(client)
    response = client.post(f"/adaptations/{adaptation['adaptation_id']}/support", json=more)
    assert response.status_code == 422
    problem = response.json()
    assert detail in problem["detail"]
    assert problem.get("place") == place
    assert client.get(f"/adaptations/{adaptation['adaptation_id']}").json() == adaptation


def test_examples_can_reach_the_limit(serve: Callable[..., TestClient]) -> None:
    client = serve(max_support_examples=100)
    adaptation_id = adapt(client)["adaptation_id"]
    assert client.post(f"/adaptations/{adaptation_id}/support", json=examples(95)).json()["support_size"] == 100
    assert client.post(f"/adaptations/{adaptation_id}/support", json=examples(1)).status_code == 422


def test_a_diverging_extension_changes_nothing(client: TestClient) -> None:
    adaptation = adapt(client)
    adaptation_id = adaptation["adaptation_id"]
    before = predictions(client, adaptation_id)
    response = client.post(
        f"/adaptations/{adaptation_id}/support", json={"inputs": [[1e4], [-1e4]], "targets": [1e4, 1e4]}
    )
    assert response.status_code == 422
    assert response.json()["type"] == "urn:problem-type:innerloop:diverged"
    assert len(response.json()["losses"]) == adaptation["steps"] + 1
    assert client.get(f"/adaptations/{adaptation_id}").json() == adaptation
    assert_same(predictions(client, adaptation_id), before)
    assert len(client.get(f"/adaptations/{adaptation_id}/history").json()["revisions"]) == 1


def test_an_unknown_id_gets_404(client: TestClient) -> None:
    assert client.post("/adaptations/nothing/support", json=MORE).status_code == 404


def test_concurrent_extensions_are_all_kept(client: TestClient) -> None:
    adaptation_id = adapt(client)["adaptation_id"]
    parts = [examples(2, seed) for seed in range(8)]
    with ThreadPoolExecutor(8) as threads:
        responses = list(
            threads.map(lambda part: client.post(f"/adaptations/{adaptation_id}/support", json=part), parts)
        )
    assert sorted(response.json()["revision"] for response in responses) == list(range(2, 10))
    support = get_support(client, adaptation_id)
    assert len(support["inputs"]) == 21
    for part in parts:
        index = support["inputs"].index(pytest.approx(part["inputs"][0]))
        assert support["inputs"][index : index + 2] == [pytest.approx(row) for row in part["inputs"]]
    assert_same(predictions(client, adaptation_id), fresh_predictions(client, support))


def test_two_servers_that_share_a_store_keep_all_extensions(models_dir: Path, clock: Clock) -> None:
    """The server that comes second finds a newer revision than it began with, and extends that one."""

    async def scenario() -> None:
        store, policy = MemoryStore(Quota(1000, 1 << 20)), AdaptationDefaults(60, False, 1000)
        catalogues = [Catalogue(lambda bundle: Model(bundle, torch_cpu())) for _ in range(2)]
        for catalogue in catalogues:
            bundles = {"sinusoid": load(models_dir / "sinusoid")}
            catalogue.exchange(catalogue.make_models(bundles, {}), bundles, {})
        async with store, lanes() as one, lanes() as two:
            choices = [VersionChoice(catalogue, store.bundles) for catalogue in catalogues]
            first, second = (
                Changes(choice, worker, store, policy, clock)
                for choice, worker in zip(choices, (one, two), strict=True)
            )
            adaptations = Adaptations(choices[0], first, one, store, policy, clock)
            generator = np.random.default_rng(0)
            sets = [(generator.normal(size=(2, 1)).astype(np.float32), np.ones((2, 1), np.float32)) for _ in range(11)]
            adaptation = await adaptations.adapt(
                AdaptCommand("", choices[0].named("sinusoid"), SupportSet(*sets[0]), InnerLoopSettings(None, None))
            )
            await asyncio.gather(
                *(
                    (first, second)[index % 2].extend(adaptation, SupportSet(*each))
                    for index, each in enumerate(sets[1:])
                )
            )
            last = await second.get("", adaptation.id)
            assert last.revision == 11
            assert sorted(last.numbers.tolist()) == list(range(22))
            assert sorted(last.task.inputs[:, 0]) == sorted(np.concatenate([inputs for inputs, _ in sets])[:, 0])

    def lanes() -> Lanes:
        engine = Engine(0)
        small, large = (WorkQueue(engine, 100, 1 << 20) for _ in range(2))
        return Lanes(engine, small, large, max_price=10**12, max_bytes=1 << 30)

    def torch_cpu() -> Any:
        import torch

        return torch.device("cpu")

    asyncio.run(scenario())
