"""Ensembles for forecasts: the order of the known rows makes a difference, and the server keeps it."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from fastapi.testclient import TestClient

from app.families.task_rows import TaskRows
from app.training.tables.ensemble.fit import FittedEnsemble, fit
from app.training.tables.ensemble.members import FORECAST_KINDS, KINDS, kinds_of
from app.training.tables.ensemble.predictor import predictor
from service_tests.training.tables.ensemble.fitted_bundle import write_fitted

QUICK = [kind for kind in KINDS if kind.name in ("offset", "mixed")]


def walking_table(tasks: int = 24, rows: int = 20, seed: int = 0) -> list[TaskRows]:
    """y = 2 x + a random walk."""
    generator = np.random.default_rng(seed)
    table = []
    for task in range(tasks):
        inputs = generator.normal(size=(rows, 2)).astype(np.float32)
        targets = 2 * inputs[:, :1] + generator.normal(size=(rows, 1)).cumsum(0)
        table.append(TaskRows(f"task {task}", inputs, targets.astype(np.float32)))
    return table


@pytest.fixture(scope="module")
def forecaster(little_work: None) -> FittedEnsemble:
    return fit(walking_table(), ordered=True, kinds=[*QUICK, *FORECAST_KINDS])


@pytest.fixture(scope="module")
def unordered(little_work: None) -> FittedEnsemble:
    return fit(walking_table(), kinds=QUICK)


def squared_error(fitted: FittedEnsemble, known: int = 10) -> float:
    """Of the row behind the known ones, in new tasks."""
    predict = predictor(fitted)
    errors = [
        predict(task.inputs[:known], task.targets[:known], task.inputs[known:][:1])[0] - task.targets[known]
        for task in walking_table(tasks=60, seed=1)
    ]
    return float(np.mean(np.square(errors)))


def test_forecasts_have_members_that_depend_on_the_order() -> None:
    assert kinds_of(ordered=False) == KINDS
    assert [kind for kind in kinds_of(ordered=True) if kind.recent is not None] == list(FORECAST_KINDS)
    assert kinds_of(ordered=True)[: len(KINDS)] == KINDS  # in the same places, so that their seeds are the same


def test_only_members_of_forecasts_have_a_discount(forecaster: FittedEnsemble, unordered: FittedEnsemble) -> None:
    members = forecaster.network.options["members"]
    assert [each.get("discount") for each in members][:2] == [None, None]
    assert [each["discount"] for each in members[3:]] == [0, 0]
    assert not any("discount" in each for each in unordered.network.options["members"])


def test_the_last_residual_makes_forecasts_better(forecaster: FittedEnsemble) -> None:
    """In a random walk, the last row says more than the mean of all."""
    plain = fit(walking_table(), ordered=True, kinds=QUICK)
    assert squared_error(forecaster) < 0.75 * squared_error(plain)


Post = Callable[..., Any]


def server(folder: Path, fitted: FittedEnsemble, serve: Callable[..., TestClient]) -> Post:
    """A function that posts to a server of the ensemble, and returns the answer."""
    write_fitted(folder / "walk", fitted)
    client = serve(models_dir=folder)

    def post(path: str, method: str = "POST", **body: Any) -> Any:
        return client.request(method, path, json=body or None).raise_for_status().json()

    return post


TASK = walking_table(tasks=1, seed=2)[0]


def support(rows: Any, **more: Any) -> dict[str, Any]:
    return {"inputs": TASK.inputs[rows].tolist(), "targets": TASK.targets[rows].tolist(), **more}


def predict(post: Post, adaptation: str) -> np.ndarray:
    queries = TASK.inputs[10:].tolist()
    return np.array(post("/predict", adaptation_id=adaptation, queries=queries)["predictions"])[:, 0]


def adapt(post: Post, rows: Any, **more: Any) -> str:
    adapted: str = post("/adapt", model="walk", support=support(rows, **more))["adaptation_id"]
    return adapted


def test_a_served_forecast_is_exact(
    tmp_path: Path, forecaster: FittedEnsemble, serve: Callable[..., TestClient]
) -> None:
    """More rows, one row less and undo give what the rows that are left would give at once, in their order."""
    post = server(tmp_path, forecaster, serve)

    def at_once(rows: Any) -> np.ndarray:
        mean, _ = predictor(forecaster)(TASK.inputs[rows], TASK.targets[rows], TASK.inputs[10:])
        return mean

    def check(rows: Any) -> None:
        np.testing.assert_allclose(predict(post, adaptation), at_once(rows), rtol=1e-5, atol=1e-5)

    adaptation = adapt(post, slice(0, 4))
    check([0, 1, 2, 3])
    post(f"/adaptations/{adaptation}/support", **support(slice(4, 7)))
    check([0, 1, 2, 3, 4, 5, 6])
    post(f"/adaptations/{adaptation}/support/6", "DELETE")
    check([0, 1, 2, 3, 4, 5])
    post(f"/adaptations/{adaptation}/support/1", "DELETE")
    check([0, 2, 3, 4, 5])
    post(f"/adaptations/{adaptation}/undo")
    check([0, 2, 3])
    weighted = adapt(post, [0, 1, 2, 5], weights=[1, 2, 1, 0])
    np.testing.assert_allclose(predict(post, weighted), at_once([0, 1, 1, 2]), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("ordered", [True, False])
def test_the_order_of_posted_rows_makes_a_difference_to_forecasts_alone(
    ordered: bool,
    tmp_path: Path,
    forecaster: FittedEnsemble,
    unordered: FittedEnsemble,
    serve: Callable[..., TestClient],
) -> None:
    post = server(tmp_path, forecaster if ordered else unordered, serve)
    one, other = (predict(post, adapt(post, rows)) for rows in ([0, 1, 2, 3, 4], [4, 1, 2, 3, 0]))
    assert np.allclose(one, other, rtol=1e-5, atol=1e-5) != ordered


def test_leaving_out_and_proposing_rows_keep_the_others_in_their_order(
    tmp_path: Path, forecaster: FittedEnsemble, serve: Callable[..., TestClient]
) -> None:
    post = server(tmp_path, forecaster, serve)
    answer = post("/adapt", model="walk", support=support(slice(0, 6)), assess="leave_one_out")
    adaptation, errors = answer["adaptation_id"], answer["quality"]["errors"]
    for left_out in (0, 3, 5):
        rest = [row for row in range(6) if row != left_out]
        mean, _ = predictor(forecaster)(TASK.inputs[rest], TASK.targets[rest], TASK.inputs[[left_out]])
        assert errors[left_out] == pytest.approx((mean[0] - TASK.targets[left_out, 0]) ** 2, rel=1e-3)
    asked = {"adaptation_id": adaptation, "candidates": TASK.inputs[10:].tolist(), "count": 2, "goal": "learn"}
    expected = predict(post, adaptation)
    for proposal in post("/propose", **asked)["proposals"]:
        assert proposal["prediction"][0] == pytest.approx(expected[proposal["index"]], rel=1e-5)
