"""What can be done with stored adaptations."""

import asyncio
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load

from innerloop_client import AsyncClient, Client, Conflict, Expired, NotFound, UnsupportedInput
from service_tests.api.requests import QUERIES, WAVE
from service_tests.conftest import Clock

X, Y = WAVE["inputs"], WAVE["targets"]


def test_changes_show_in_the_same_object(innerloop: Client) -> None:
    pump = innerloop.adapt("sinusoid", X, Y)
    before = pump.predict(QUERIES)
    pump.extend([[3.0], [1.0]], [0.56, 3.4])
    assert pump.examples == [0, 1, 2, 3, 4, 5, 6]
    assert pump.forget(5) is pump
    assert pump.examples == [0, 1, 2, 3, 4, 6]
    assert pump.change == "Deleted example 5: undo does not restore it."
    assert pump.undo().support_size == 5
    assert pump.predict(QUERIES) == pytest.approx(before, abs=1e-5)
    assert [each.change for each in pump.history()] == ["adapted", "extended", "forgot", "undone"]
    assert pump.history()[2].forgotten == 5
    with pytest.raises(Conflict):
        pump.undo()


def test_an_adaptation_is_found_by_its_id_and_changed_by_others(innerloop: Client) -> None:
    pump = innerloop.adapt("sinusoid", X, Y)
    same = innerloop.adaptation(pump.id)
    assert (same.id, same.losses, same.created_at) == (pump.id, pump.losses, pump.created_at)
    pump.forget(0)
    assert same.refresh().examples == [1, 2, 3, 4]


def test_label_and_expiry_can_change(innerloop: Client, clock: Clock) -> None:
    pump = innerloop.adapt("sinusoid", X, Y, label="pump 17", ttl_s=60)
    expires_at = pump.expires_at
    pump.edit(ttl_s=600)
    assert pump.label == "pump 17"
    assert (pump.expires_at - expires_at).total_seconds() == 540
    assert pump.edit(label="pump 18").label == "pump 18"
    assert pump.edit(label=None).label is None
    clock.now += 601
    with pytest.raises(Expired):
        pump.predict(QUERIES)


def test_the_weights_are_a_safetensors_file(innerloop: Client, tmp_path: Path) -> None:
    pump = innerloop.adapt("sinusoid", X, Y)
    data = pump.weights(tmp_path / "pump.safetensors")
    assert (tmp_path / "pump.safetensors").read_bytes() == data
    assert all(array.dtype == np.float32 for array in load(data).values())


def test_the_examples_come_back(innerloop: Client) -> None:
    support = innerloop.adapt("sinusoid", X, Y).support()
    assert support["inputs"] == X
    np.testing.assert_allclose(support["targets"], np.array(Y)[:, None], atol=1e-6)


def test_a_deleted_adaptation_is_gone(innerloop: Client) -> None:
    pump = innerloop.adapt("sinusoid", X, Y)
    assert pump.delete() is None
    with pytest.raises(NotFound):
        innerloop.adaptation(pump.id)
    with pytest.raises(NotFound):
        pump.delete()


def test_iterating_goes_through_all_pages(innerloop: Client) -> None:
    ids = [innerloop.adapt("sinusoid", X, Y, steps=0, label="odd" if n % 2 else None).id for n in range(103)]
    assert [each.id for each in innerloop.adaptations()] == ids[::-1]
    assert [each.id for each in innerloop.adaptations(label="odd")] == ids[1::2][::-1]
    assert list(innerloop.adaptations(model="sinusoid", label="none")) == []
    with pytest.raises(UnsupportedInput, match="model: expected a text, got 5"):
        list(innerloop.adaptations(model=5))  # type: ignore[arg-type]


def test_awaited_methods(url: str) -> None:
    async def run() -> list[str]:
        async with AsyncClient(url) as innerloop:
            pump = await innerloop.adapt("sinusoid", X, Y)
            assert await pump.extend([[3.0]], [0.56]) is pump
            await pump.forget(0)
            await pump.undo()
            assert [each.id async for each in innerloop.adaptations()] == [pump.id]
            changes = [each.change for each in await pump.history()]
            await pump.delete()
            return changes

    assert asyncio.run(run()) == ["adapted", "extended", "forgot", "undone"]


def test_models_and_health(innerloop: Client) -> None:
    assert "sinusoid" in {each.name for each in innerloop.models()}
    sinusoid = innerloop.model("sinusoid")
    assert (sinusoid.kind, sinusoid.features) == ("regression", 1)
    assert sinusoid.target_columns[0]["name"] == "target"
    assert innerloop.refused_bundles() == []
    assert innerloop.health().ready
    with pytest.raises(UnsupportedInput):
        innerloop.model("../health/live")
    with pytest.raises(NotFound):
        innerloop.model("none")


def test_one_call_adapts_and_predicts(innerloop: Client) -> None:
    by_id = innerloop.adapt("sinusoid", X, Y).predict(QUERIES)
    assert innerloop.predict("sinusoid", QUERIES, X, Y) == pytest.approx(by_id, abs=1e-5)
    result = innerloop.predict("sinusoid", QUERIES, X, Y, details=True)
    assert (result.status, len(result.losses or [])) == ("improved", 6)
    assert innerloop.predict("sinusoid", QUERIES, details=True).status is None, "the initialization itself"


def test_intervals_come_with_the_predictions(innerloop: Client) -> None:
    x = np.linspace(-4, 4, 10)[:, None]
    wave = innerloop.adapt("sinusoid-bayes", x, np.sin(x[:, 0]))
    result = wave.predict(np.array([[0.5], [1e6]]), interval=0.9)
    assert result.lower[0] < result.predictions[0] < result.upper[0]
    assert result.unlike.tolist() == [False, True]
    assert np.isnan(result.lower[1])
    listed = wave.predict([[0.5], [1e6]], interval=0.9)
    assert listed.upper[0] == pytest.approx(result.upper[0])
    assert (listed.lower[1], listed.unlike) == (None, [False, True])
    with pytest.raises(UnsupportedInput, match="sinusoid-bayes predicts no labels"):
        wave.predict_proba(x)
