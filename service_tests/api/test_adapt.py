from fastapi.testclient import TestClient

SUPPORT = {"inputs": [[0.1], [1.2], [2.0]], "targets": [0.3, [0.9], 0.8]}
ADAPT = {"model": "sinusoid", "support": SUPPORT}


def test_the_answer_describes_the_adaptation(client: TestClient) -> None:
    response = client.post("/adapt", json=ADAPT | {"label": "pump 17", "steps": 7, "learning_rate": 0.005, "ttl_s": 60})
    assert response.status_code == 201
    answer = response.json()
    digest = client.get("/models/sinusoid").json()["digest"]
    losses = answer.pop("losses")
    assert len(losses) == 8
    assert losses[-1] < losses[0]
    assert len(answer.pop("adaptation_id")) == 32
    assert answer == {
        "revision": 1,
        "examples": [0, 1, 2],
        "model": "sinusoid",
        "model_digest": digest,
        "kind": "regression",
        "support_size": 3,
        "steps": 7,
        "learning_rate": 0.005,
        "status": "improved",
        "message": "The support loss fell.",
        "created_at": "2027-01-15T08:00:00.000Z",
        "expires_at": "2027-01-15T08:01:00.000Z",
        "label": "pump 17",
    }


def test_the_defaults_come_from_the_bundle(client: TestClient) -> None:
    answer = client.post("/adapt", json=ADAPT).json()
    bounds = client.get("/models/sinusoid").json()["inner_loop"]
    assert (answer["steps"], answer["learning_rate"]) == (bounds["steps"], bounds["learning_rate"])
    assert "label" not in answer
    assert answer["expires_at"] == "2027-01-16T08:00:00.000Z"


def test_targets_of_one_number_can_be_written_without_brackets(client: TestClient) -> None:
    bare = {"inputs": [[0.1], [1.2]], "targets": [0.3, 0.9]}
    nested = {"inputs": [[0.1], [1.2]], "targets": [[0.3], [0.9]]}
    one, two = (client.post("/adapt", json={"model": "sinusoid", "support": each}).json() for each in (bare, nested))
    assert one["losses"] == two["losses"]


def test_zero_steps_are_allowed(client: TestClient) -> None:
    answer = client.post("/adapt", json=ADAPT | {"steps": 0}).json()
    assert len(answer["losses"]) == 1
    assert answer["status"] == "no_progress"


def test_each_request_is_a_new_adaptation(client: TestClient) -> None:
    one, two = (client.post("/adapt", json=ADAPT).json()["adaptation_id"] for _ in range(2))
    assert one != two


def test_numbers_are_written_with_the_digits_of_float32(client: TestClient) -> None:
    text = client.post("/adapt", json=ADAPT | {"steps": 0}).text
    losses = text.partition('"losses":[')[2].partition("]")[0]
    assert len(losses) <= 12


def test_a_thousand_examples_are_accepted(client: TestClient) -> None:
    support = {"inputs": [[index / 200] for index in range(1000)], "targets": [0.5] * 1000}
    assert client.post("/adapt", json={"model": "sinusoid", "support": support}).json()["support_size"] == 1000
