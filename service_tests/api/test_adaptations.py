from collections.abc import Callable

from fastapi.testclient import TestClient

from service_tests.conftest import Clock

ADAPT = {"model": "sinusoid", "support": {"inputs": [[0.1], [1.2]], "targets": [0.3, 0.9]}}
DAY = 86_400


def adapt(client: TestClient, **fields: object) -> str:
    return str(client.post("/adapt", json=ADAPT | fields).json()["adaptation_id"])


def test_get_returns_the_response_of_adapt(client: TestClient) -> None:
    adaptation = client.post("/adapt", json=ADAPT).json()
    assert client.get(f"/adaptations/{adaptation['adaptation_id']}").json() == adaptation


def test_the_list_starts_with_the_newest(client: TestClient) -> None:
    ids = [adapt(client, label=str(index)) for index in range(3)]
    listed = client.get("/adaptations").json()["adaptations"]
    assert [each["adaptation_id"] for each in listed] == ids[::-1]
    assert [each["label"] for each in client.get("/adaptations?limit=1").json()["adaptations"]] == ["2"]


def test_a_limit_out_of_bounds_gets_a_problem(client: TestClient) -> None:
    response = client.get("/adaptations?limit=0")
    assert response.status_code == 422
    assert response.headers["content-type"] == "application/problem+json"
    assert response.json()["place"] == "query.limit"


def test_a_deleted_adaptation_is_unknown(client: TestClient) -> None:
    adaptation_id = adapt(client)
    assert client.delete(f"/adaptations/{adaptation_id}").status_code == 204
    assert client.get(f"/adaptations/{adaptation_id}").status_code == 404
    assert client.delete(f"/adaptations/{adaptation_id}").status_code == 404
    response = client.post("/predict", json={"adaptation_id": adaptation_id, "queries": [[1]]})
    assert response.status_code == 404
    assert adaptation_id in response.json()["detail"]


def test_an_adaptation_expires_and_is_forgotten_a_day_later(client: TestClient, clock: Clock) -> None:
    adaptation_id = adapt(client, ttl_s=60)
    clock.now += 59
    assert client.get(f"/adaptations/{adaptation_id}").status_code == 200
    clock.now += 1
    for response in (
        client.get(f"/adaptations/{adaptation_id}"),
        client.delete(f"/adaptations/{adaptation_id}"),
        client.post("/predict", json={"adaptation_id": adaptation_id, "queries": [[1]]}),
    ):
        assert response.status_code == 410
        assert "expired at 2027-01-15T08:01:00Z" in response.json()["detail"]
    assert client.get("/adaptations").json() == {"adaptations": []}
    clock.now += DAY
    assert client.get(f"/adaptations/{adaptation_id}").status_code == 404


def test_the_default_ttl_is_a_setting(serve: Callable[..., TestClient], clock: Clock) -> None:
    client = serve(adaptation_ttl_s=10, max_ttl_s=100)
    adaptation_id = adapt(client)
    clock.now += 10
    assert client.get(f"/adaptations/{adaptation_id}").status_code == 410
    assert (
        client.post("/adapt", json=ADAPT | {"ttl_s": 101}).json()["detail"]
        == "ttl_s: expected at most 100 seconds (INNERLOOP_MAX_TTL_S), got 101"
    )
    long = client.post("/adapt", json=ADAPT | {"ttl_s": 10**100}).json()["detail"]
    assert long == f"ttl_s: expected at most 100 seconds (INNERLOOP_MAX_TTL_S), got 1{'0' * 59}..."


def test_predictions_survive_the_eviction_of_fast_weights(serve: Callable[..., TestClient]) -> None:
    client = serve(fast_weights_bytes=0)
    adaptation_id = adapt(client)
    body = {"adaptation_id": adaptation_id, "queries": [[1.0], [2.0]]}
    before = client.post("/predict", json=body).json()
    for _ in range(520):
        adapt(client, steps=0)
    after = client.post("/predict", json=body).json()
    assert after == before, "deriving the fast weights again must not change predictions"
