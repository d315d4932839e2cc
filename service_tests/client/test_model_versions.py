"""A bundle whose columns have another order replaces a model, while clients know the old order."""

import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pandas as pd
import pytest

from app.bundles.folder import load, write
from app.bundles.manifest import Bounds, Manifest
from app.bundles.schema import Schema
from app.encoders.numbers import NumbersEncoder
from app.encoders.spec import EncoderSpec
from app.learn.algorithms import ALGORITHMS
from app.learn.networks import NetworkSpec, build, initialize, width
from app.learn.target_scale import TargetSpec
from innerloop_client import Adaptation, Client, InnerloopError, NotFound, Task, UnsupportedInput
from innerloop_client.blocking import finish
from innerloop_client.errors import OtherVersion
from innerloop_client.model_versions import describe
from innerloop_client.sklearn import FewShotRegressor
from service_tests.client.answering import Answering, answer
from service_tests.processes import wait_until

NAMES = ["age", "dose"]
X = pd.DataFrame([[61.0, 2.0], [47.0, 1.0], [55.0, 3.0]], columns=NAMES)
Y = pd.DataFrame([[1.0, 5.0], [2.0, 6.0], [3.0, 4.0]], columns=["low", "high"])
QUERIES = pd.DataFrame([[50.0, 1.5], [60.0, 2.5]], columns=NAMES)


class Server:
    """A server whose model `doses` has inputs and targets that can change their order."""

    def __init__(self, folder: Path, start: Callable[..., str]) -> None:
        self._folder, self._seed = folder, 0
        self._write(NAMES, list(Y))
        self.url = start(models_dir=folder, watch=True)

    def reverse(self) -> None:
        """Replace the bundle by another one, with the names in the reverse order."""
        self.replace(NAMES[::-1], list(Y)[::-1])

    def replace(self, inputs: Sequence[str], targets: Sequence[str], name: str = "doses") -> None:
        """Replace a bundle by another one with these names."""
        self._write(inputs, targets, name)
        self._wait(name)

    def copy(self, name: str) -> None:
        """Serve the same bundle under another name too."""
        bundle = load(self._folder / "doses")
        write(self._folder / name, bundle.manifest, bundle.meta)
        self._wait(name)

    def _wait(self, name: str) -> None:
        digest = load(self._folder / name).manifest.digest
        wait_until(lambda: bool(self.description(name).get("digest") == digest), "the new bundle does not serve")

    def _write(self, inputs: Sequence[str], targets: Sequence[str], name: str = "doses") -> None:
        network, composed = NetworkSpec("linear", {"inputs": 2, "outputs": 16}), ALGORITHMS["alpaca"]
        params, module = initialize(network.name, network.options, self._seed), build(network.name, network.options)
        self._seed += 1
        manifest = Manifest(
            family=None, network=network, algorithm="alpaca", kind="regression", schema=Schema(2, 2),
            inner_loop=Bounds(1, 1, 0.1, 0.1), initial_loss=1.0, weights_sha256="", evaluation={}, training={},
            encoder=EncoderSpec.of(NumbersEncoder((2,), tuple(inputs))), targets=TargetSpec(tuple(targets)),
        )  # fmt: skip
        write(self._folder / name, manifest, composed.initial_meta(module, params, 2, width(module, 2), 0.1, 1))

    def description(self, name: str) -> Any:
        """What the server says of a model."""
        return httpx.get(f"{self.url}/models/{name}").json()


@pytest.fixture
def server(tmp_path: Path, serve_live: Callable[..., str]) -> Server:
    return Server(tmp_path / "models", serve_live)


@pytest.fixture
def innerloop(server: Server) -> Iterator[Client]:
    """A client that knows the first order."""
    with Client(server.url) as client:
        client.predict("doses", QUERIES, X, Y)
        server.reverse()
        yield client


def expected(client: Client) -> np.ndarray:
    """The predictions of the reverse order, with everything put into it by hand."""
    rows, targets = X[NAMES[::-1]].to_numpy().tolist(), Y[["high", "low"]].to_numpy().tolist()
    predictions = client.predict("doses", QUERIES[NAMES[::-1]].to_numpy().tolist(), rows, targets)
    return np.array(predictions)[:, ::-1]  # as Y


def check(predictions: Any, client: Client) -> None:
    np.testing.assert_allclose(predictions[["low", "high"]].to_numpy(), expected(client), rtol=1e-4)


def test_adapt_and_predict(innerloop: Client) -> None:
    adaptation = innerloop.adapt("doses", X, Y)
    assert adaptation.support()["inputs"] == X[NAMES[::-1]].to_numpy().tolist()
    check(adaptation.predict(QUERIES), innerloop)


def test_predict_in_one_call(innerloop: Client) -> None:
    check(innerloop.predict("doses", QUERIES, X, Y), innerloop)


@pytest.mark.parametrize("many", [False, True])
def test_the_same_key_and_rows_are_the_first_adaptation(server: Server, many: bool) -> None:
    task: Task = {"model": "doses", "x": X, "y": Y}

    def adapt() -> Any:
        with Client(server.url) as client:  # as another process
            if many:
                (outcome,) = client.adapt_many([task], idempotency_key="mine")
                assert isinstance(outcome, Adaptation), outcome
                return outcome.id
            return client.adapt(**task, idempotency_key="mine").id

    first = adapt()
    server.reverse()
    assert adapt() == first
    server.replace(NAMES, list(Y)[::-1])
    assert adapt() == first


def test_rows_of_an_iterator(innerloop: Client) -> None:
    rows, targets, queries = (frame.to_dict("records") for frame in (X, Y, QUERIES))
    predictions = innerloop.predict("doses", iter(queries), (row for row in rows), map(dict, targets))
    check(pd.DataFrame(predictions, columns=["high", "low"]), innerloop)


def test_many(innerloop: Client) -> None:
    tasks: list[Task] = [
        {"model": "doses", "x": X, "y": Y},
        {"model": "doses"},
        {"model": "doses", "x": iter(X.to_dict("records")), "y": Y},
    ]
    first, error, last = innerloop.adapt_many(tasks)
    assert isinstance(error, InnerloopError)
    for adaptation in (first, last):
        assert not isinstance(adaptation, InnerloopError)
        check(adaptation.predict(QUERIES), innerloop)
    assert len(list(innerloop.adaptations())) == 2


def one_table_for_all() -> Iterator[Task]:
    x = X.copy()
    for number in range(3):
        x.loc[0, "age"] = number
        yield {"model": "doses", "x": x, "y": Y}


def test_many_from_a_generator(server: Server) -> None:
    """Its tasks may have changed since they were read: they are sent again only if nothing but the version differs."""
    with Client(server.url) as client:
        for names, targets in ((NAMES, list(Y)), (NAMES[::-1], list(Y)[::-1])):
            client.predict("doses", QUERIES, X, Y)
            server.replace(names, targets)
            outcomes = client.adapt_many(one_table_for_all())
            if names == NAMES:
                inputs = [each.support()["inputs"][0] for each in outcomes if isinstance(each, Adaptation)]
                assert inputs == [[0.0, 2.0], [1.0, 2.0], [2.0, 2.0]]
        text = (
            "doses was replaced meanwhile: its columns have other names or another order, so adapt to this task again"
        )
        assert [str(each) for each in outcomes] == [text] * 3
        assert len(list(client.adaptations())) == 3
        again = client.adapt_many(one_table_for_all())
        inputs = [each.support()["inputs"][0] for each in again if isinstance(each, Adaptation)]
        assert inputs == [[2.0, 0.0], [2.0, 1.0], [2.0, 2.0]]


def test_named_tuples_of_many_tasks(innerloop: Client) -> None:
    rows: Any = list(X.itertuples(index=False))
    (adaptation,) = innerloop.adapt_many([{"model": "doses", "x": rows, "y": list(Y.itertuples(index=False))}])
    assert not isinstance(adaptation, InnerloopError)
    check(adaptation.predict(QUERIES), innerloop)


def test_a_stream_whose_model_is_replaced_after_a_loss(server: Server) -> None:
    """The losses of another version would be other ones."""

    class Cutting(httpx.HTTPTransport):
        def handle_request(self, request: httpx.Request) -> httpx.Response:
            response = super().handle_request(request)
            if request.headers.get("accept") == "text/event-stream" and response.status_code == 200:
                first = response.read().partition(b"\n\n")[0] + b"\n\n"
                httpx.delete(f"{server.url}/adaptations/{latest(server)}")
                return httpx.Response(200, headers={"content-type": "text/event-stream"}, content=first)
            return response

    with httpx.Client(transport=Cutting()) as http:
        stream = Client(server.url, http=http).adapt_stream("doses", X, Y)
        next(stream)
        server.reverse()
        with pytest.raises(OtherVersion):
            list(stream)


def latest(server: Server) -> str:
    (adaptation,) = httpx.get(f"{server.url}/adaptations").json()["adaptations"]
    return str(adaptation["adaptation_id"])


def test_one_bundle_under_two_names(server: Server) -> None:
    server.copy("twin")
    with Client(server.url) as client:
        pinned, other = (client.adapt("twin", X, Y, pinned=each) for each in (True, False))
        right = other.predict(QUERIES)
        estimator = FewShotRegressor("twin", server.url).fit(X, Y)
        digest = httpx.get(f"{server.url}/models/doses").json()["digest"]
        for name in ("doses", "twin"):
            answer = httpx.get(f"{server.url}/models/{name}", params={"digest": digest}).json()
            assert (answer["name"], answer["digest"]) == (name, digest)
        server.replace(NAMES[::-1], list(Y)[::-1], "twin")
        for adaptation in (pinned, other, client.adaptation(pinned.id), client.adaptation(other.id)):
            result = adaptation.predict(QUERIES, details=True)
            assert (result.model, result.model_digest) == ("twin", digest)
            np.testing.assert_allclose(result.predictions, right, rtol=1e-4)
        np.testing.assert_allclose(estimator.predict(QUERIES), right, rtol=1e-4)


def test_the_score_of_several_targets_needs_their_order(server: Server) -> None:
    estimator = FewShotRegressor("doses", server.url).fit(X, Y)
    assert estimator.score(X, Y) == pytest.approx(estimator.score(X, Y.to_numpy()))
    with pytest.raises(UnsupportedInput, match=r"^y: expected the columns low, high in this order, got high, low$"):
        estimator.score(X, Y[["high", "low"]])


def test_an_answer_that_gets_lost_before_the_bundle_is_replaced(server: Server) -> None:
    """The repeat is for the version that made the adaptation, and finds it."""

    class Losing(httpx.HTTPTransport):
        def handle_request(self, request: httpx.Request) -> httpx.Response:
            response = super().handle_request(request)
            if request.url.path == "/adapt" and not lost:
                lost.append(response.read())
                server.reverse()
                raise httpx.ReadError("lost")
            return response

    lost: list[bytes] = []
    with httpx.Client(transport=Losing()) as http:
        client = Client(server.url, http=http)
        makes: list[Callable[[], Any]] = [
            lambda: client.adapt("doses", X, Y),
            lambda: client.adapt_many([{"model": "doses", "x": X, "y": Y}])[0],
            lambda: streamed(client),
        ]
        for number, make in enumerate(makes, 1):
            server.replace(NAMES, list(Y))
            client.predict("doses", QUERIES, X, Y)
            lost.clear()
            adaptation = make()
            assert len(lost) == 1
            assert adaptation.id in lost[0].decode()
            assert len(list(client.adaptations())) == number
            assert adaptation.support()["inputs"] == X.to_numpy().tolist()


def streamed(client: Client) -> Adaptation:
    stream = client.adapt_stream("doses", X, Y)
    assert len(list(stream)) == 2
    return stream.adaptation


def test_versions_without_end(server_of: Callable[..., Answering]) -> None:
    """As of two servers with different bundles. The deadline holds, and the error says what has happened."""
    problem = {"status": 409, "detail": "another version", "model_digest": "1", "type": "a"}
    model = {"name": "doses", "digest": "0", "kind": "regression", "inputs": {"encoder": "numbers", "columns": []}}

    def answers(number: int) -> list[bytes]:
        is_description = other.requests[-1].startswith(b"GET")
        return [answer(model | {"digest": "01"[number > 1]}) if is_description else answer(problem, status=409)]

    with Answering(answers) as other, Client(other.url, timeout=0.5) as client:
        began = time.monotonic()
        with pytest.raises(OtherVersion, match="another version"):
            client.adapt("doses", X, Y)
        assert time.monotonic() - began < 5


def test_a_stream(innerloop: Client) -> None:
    stream = innerloop.adapt_stream("doses", X, Y)
    assert len(list(stream)) == 2
    check(stream.adaptation.predict(QUERIES), innerloop)


def test_proposals(innerloop: Client) -> None:
    (one,) = innerloop.propose("doses", QUERIES, X, Y, target="low")
    rows, targets = X[NAMES[::-1]].to_numpy().tolist(), Y[["high", "low"]].to_numpy().tolist()
    (other,) = innerloop.propose("doses", QUERIES[NAMES[::-1]].to_numpy().tolist(), rows, targets, target="low")
    assert (one.index, one.prediction) == (other.index, pytest.approx(other.prediction))


@pytest.fixture
def older(server: Server) -> Iterator[tuple[Client, Adaptation, Adaptation]]:
    """A client that knows the reverse order, and adaptations from before, the second one pinned."""
    with Client(server.url) as client:
        adaptations = [client.adapt("doses", X, Y, pinned=pinned) for pinned in (False, True)]
        server.reverse()
        client.predict("doses", QUERIES, X, Y)
        yield client, adaptations[0], adaptations[1]


def test_older_adaptations_keep_the_order_of_their_examples(older: tuple[Client, Adaptation, Adaptation]) -> None:
    client, adaptation, pinned = older
    for each in (adaptation, client.adaptation(pinned.id)):
        assert each.predict(QUERIES, details=True).model_digest == pinned.model_digest
        right = each.predict(QUERIES.to_numpy().tolist())
        np.testing.assert_allclose(each.predict(QUERIES)[["low", "high"]], right, rtol=1e-4)
        np.testing.assert_allclose(each.predict(QUERIES[NAMES[::-1]], pinned=True)[["low", "high"]], right, rtol=1e-4)
        (proposal,) = each.propose(QUERIES[NAMES[::-1]], target="high")
        assert proposal.prediction == pytest.approx(right[proposal.position], rel=1e-4)
        each.extend(X[NAMES[::-1]], Y[["high", "low"]])
        assert each.support()["inputs"] == 2 * X.to_numpy().tolist()
        assert each.support()["targets"] == 2 * Y.to_numpy().tolist()


def test_an_estimator(server: Server) -> None:
    estimator = FewShotRegressor("doses", server.url).fit(X, Y)
    right = estimator.predict(QUERIES)
    server.reverse()
    with pytest.warns(UserWarning, match="feature names"):
        np.testing.assert_allclose(estimator.predict(QUERIES.to_numpy()), right, rtol=1e-4)
    np.testing.assert_allclose(estimator.predict(QUERIES), right, rtol=1e-4)
    estimator.partial_fit(X, Y)
    assert estimator.adaptation().support()["inputs"] == 2 * X.to_numpy().tolist()
    with pytest.raises(UnsupportedInput, match=r"^y: expected the columns high, low in this order, got low, high$"):
        FewShotRegressor("doses", server.url).fit(X, Y)


def test_an_estimator_whose_client_knows_the_older_order(server: Server) -> None:
    FewShotRegressor("doses", server.url).fit(X, Y)
    server.reverse()
    estimator = FewShotRegressor("doses", server.url).fit(X, Y[["high", "low"]])
    assert estimator.adaptation().support()["inputs"] == X[NAMES[::-1]].to_numpy().tolist()
    with pytest.warns(UserWarning, match="feature names"):
        np.testing.assert_allclose(estimator.predict(QUERIES.to_numpy()), estimator.predict(QUERIES), rtol=1e-4)


def test_names_that_only_the_new_bundle_has(server: Server) -> None:
    renamed = {"age": "years"}
    with Client(server.url) as client:
        adaptation = client.adapt("doses", X, Y)
        server.replace(["years", "dose"], list(Y))
        assert client.adapt("doses", X.rename(columns=renamed), Y).support_size == len(X)
        with pytest.raises(UnsupportedInput, match=r"^x: expected the columns years, dose, got age, dose$"):
            client.adapt("doses", X, Y)
        assert adaptation.predict(QUERIES).shape == QUERIES.shape
        with pytest.raises(UnsupportedInput, match=r"^queries: expected the columns age, dose, got years, dose$"):
            adaptation.predict(QUERIES.rename(columns=renamed))


def test_names_that_come_or_go(server: Server) -> None:
    with Client(server.url) as client:
        for first, second in (((NAMES, list(Y)), ([], [])), (([], []), (NAMES, list(Y)))):
            server.replace(*first)
            adaptation = client.adapt("doses", X[NAMES[::-1]], Y[["high", "low"]])
            before = adaptation.predict(QUERIES[NAMES[::-1]])
            server.replace(*second)
            after = adaptation.predict(QUERIES[NAMES[::-1]], details=True)
            assert after.model_digest == adaptation.model_digest
            np.testing.assert_allclose(after.predictions, before, rtol=1e-4)


def test_a_version_that_is_not_there(server: Server) -> None:
    with (
        Client(server.url) as client,
        pytest.raises(NotFound, match=r"^digest: expected the digest of a version"),
    ):
        finish(describe(client._session, "doses", 64 * "0"))
