"""What the regressor and the classifier share."""

from typing import Any, ClassVar

import numpy as np
from sklearn.base import BaseEstimator
from sklearn.utils.validation import (
    assert_all_finite,
    check_consistent_length,
    check_is_fitted,
    column_or_1d,
    validate_data,
)

from innerloop_client.adapt_request import AdaptBody
from innerloop_client.adaptation import Adaptation
from innerloop_client.blocking import finish
from innerloop_client.client import TIMEOUT_S, Client
from innerloop_client.descriptions import Model
from innerloop_client.errors import UnsupportedInput
from innerloop_client.idempotency_key import new_key
from innerloop_client.model_versions import Described, Version, for_version
from innerloop_client.predict_request import predict_once
from innerloop_client.prediction import Prediction
from innerloop_client.session import Call
from innerloop_client.sklearn.column_order import columns_of, in_model_order
from innerloop_client.sklearn.plain_errors import (
    are_texts,
    check_inputs,
    check_is_list,
    check_takes_texts,
    of_adaptation,
    of_arguments,
    of_model,
)
from innerloop_client.sklearn.shared_clients import shared_client
from innerloop_client.sklearn.silent_conversions import as_numbers, refuse_rows_with_names
from innerloop_client.support_set import Examples, check_order
from innerloop_client.tables import NUMBERS

SMALLEST_WEIGHT = float(np.finfo("float32").smallest_subnormal)
"""The server computes in float32, where smaller weights are 0."""


class FewShotEstimator(BaseEstimator):  # type: ignore[misc]
    """An estimator whose `fit` adapts a model on a server, and which asks that server to predict."""

    _kind: ClassVar[str]
    """Of the models that it takes."""
    _check_options: ClassVar[dict[str, Any]]
    """Of `validate_data`, for examples that are numbers."""
    _columns: list[str] | None = None
    """The names of the columns of `fit`; None if they had none."""
    _version: Version | None = None
    """The version of the model that will probably answer."""

    def __init__(
        self,
        model: str | None = None,
        url: str | None = None,
        api_key: str | None = None,
        *,
        steps: int | None = None,
        learning_rate: float | None = None,
        label: str | None = None,
        ttl_s: int | None = None,
        timeout: float = TIMEOUT_S,
    ) -> None:
        self.model = model
        self.url = url
        self.api_key = api_key
        self.steps = steps
        self.learning_rate = learning_rate
        self.label = label
        self.ttl_s = ttl_s
        self.timeout = timeout

    def adaptation(self) -> Adaptation:
        """The adaptation as the server has it now, with its losses, history and weights."""
        check_is_fitted(self, "adaptation_id_")
        with of_adaptation(self.adaptation_id_):
            return self._client.adaptation(self.adaptation_id_, timeout=self.timeout)

    @property
    def _client(self) -> Client:
        """A client of the server that has the adaptation, or shall have it."""
        return shared_client(getattr(self, "url_", self.url), self.api_key)

    def _adapt(self, X: Any, y: Any, sample_weight: Any, **options: Any) -> None:  # noqa: N803
        """Adapt to examples. options: of a classifier, as `Client.adapt` takes them."""
        before = dict(vars(self))
        try:
            self._adapt_anew(X, y, sample_weight, options)
        except BaseException:  # an earlier fit is still good
            self.__dict__ = before
            raise

    def _adapt_anew(self, X: Any, y: Any, sample_weight: Any, options: dict[str, Any]) -> None:  # noqa: N803
        client, inputs, targets = shared_client(self.url, self.api_key), X, y
        for name in ("n_features_in_", "feature_names_in_"):  # of an earlier fit; texts have none
            self.__dict__.pop(name, None)
        encoder = NUMBERS if self.model is None else self._described(client, self.model).inputs["encoder"]
        self._takes_numbers = encoder == NUMBERS
        X, y, weights = self._examples(X, y, sample_weight, reset=True)  # noqa: N806
        model = self.model or self._only_model(client, X.shape[1], y)
        self._columns = columns_of(inputs)
        options |= {
            "weights": weights, "steps": self.steps, "learning_rate": self.learning_rate, "label": self.label,
            "ttl_s": self.ttl_s,
        }  # fmt: skip
        key, session = new_key(), client._session.within(self.timeout)

        async def request(models: Described) -> Any:
            await check_order(models, model, targets)
            body = AdaptBody(model, await self._in_order(models, model, X, inputs), y, options)
            return (await session.send(Call.of_body("/adapt", await body.read(models), key=key))).body

        with of_arguments():
            body = finish(for_version(session, request))
        adaptation = Adaptation(client._session, body, model=model)
        self._version = Version(adaptation.model_digest)
        self.url_, self.model_, self.adaptation_id_ = client._session.options.url, adaptation.model, adaptation.id

    def _extend(self, X: Any, y: Any, sample_weight: Any, labels: Any = None) -> None:  # noqa: N803
        """Add examples to the adaptation."""
        inputs, targets, adaptation = X, y, self.adaptation()
        X, y, weights = self._examples(X, y, sample_weight, reset=False)  # noqa: N806
        key, session = new_key(), self._client._session.within(self.timeout)

        async def request(models: Described) -> None:
            await check_order(models, self.model_, targets)
            examples = Examples(await self._in_order(models, self.model_, X, inputs), y, weights, labels)
            await adaptation._extend_once(models, examples, key, session)

        with of_adaptation(self.adaptation_id_), of_arguments():
            finish(for_version(session, request, self._version))

    def _predict(self, X: Any, **fields: Any) -> Prediction:  # noqa: N803
        check_is_fitted(self, "adaptation_id_")
        numbers, session = self._inputs(X), self._client._session.within(self.timeout)
        fields |= {"adaptation_id": self.adaptation_id_}

        async def request(models: Described) -> Prediction:
            queries = await self._in_order(models, self.model_, numbers, X)
            return await predict_once(session, models, self.model_, queries, fields)

        with of_adaptation(self.adaptation_id_), of_arguments():
            return finish(for_version(session, request, self._version))

    def _check_targets(self, y: Any) -> None:
        """Raise UnsupportedInput for several targets with names in another order than that of the predictions."""
        models = Described(self._client._session.within(self.timeout), self._version or Version())
        finish(check_order(models, self.model_, y))

    async def _in_order(self, models: Described, model: str, X: Any, inputs: Any) -> Any:  # noqa: N803
        """Checked inputs in the order of the model: by the names that they had, or by those of the examples of `fit`.

        inputs: what the user has sent
        """
        if not self._takes_numbers:
            return X
        return await in_model_order(models, model, X, inputs, columns_of(inputs) or self._columns)

    def _inputs(self, X: Any) -> Any:  # noqa: N803
        """Queries of as many features as the examples had, and with the same names."""
        X = self._plain_inputs(X)  # noqa: N806
        if are_texts(X):
            return X
        return validate_data(self, X, reset=False, skip_check_array=not self._takes_numbers)

    def _examples(self, X: Any, y: Any, sample_weight: Any, *, reset: bool) -> tuple[Any, Any, Any]:  # noqa: N803
        """Examples as the client sends them. Tables, images and texts stay what they are: the server checks them."""
        check_is_list(y, "y", X)
        check_is_list(sample_weight, "sample_weight", X)
        options = self._check_options if self._takes_numbers else {"skip_check_array": True}
        X, y = self._plain_inputs(X), self._plain(y)  # noqa: N806
        if not are_texts(X):
            X, y = validate_data(self, X, y, reset=reset, **options)  # noqa: N806
        y = self._targets(y)
        if sample_weight is None:
            return X, y, None
        weights = column_or_1d(as_numbers(sample_weight, "sample_weight"), dtype="float64")
        check_consistent_length(X, weights)
        assert_all_finite(weights, input_name="sample_weight")
        if not weights.any():
            raise ValueError("sample_weight: all weights are zero")
        if not (np.abs(weights) > SMALLEST_WEIGHT).any():
            actual = f"none above {np.abs(weights).max():g}: use larger weights"
            raise ValueError(f"sample_weight: expected at least 1 weight above {SMALLEST_WEIGHT:g}, got {actual}")
        return X, y, weights

    def _plain_inputs(self, X: Any) -> Any:  # noqa: N803
        """Inputs in a form that scikit-learn does not change. Raises UnsupportedInput and ValueError."""
        check_is_list(X, "X")
        check_inputs(X)
        if are_texts(X):
            check_takes_texts(self.model, self._takes_numbers, getattr(self, "n_features_in_", 1))
        if not self._takes_numbers:
            return X
        refuse_rows_with_names(X, "X")
        return as_numbers(X, "X")

    def _plain(self, y: Any) -> Any:
        """Targets in a form that scikit-learn does not change. Raises UnsupportedInput."""
        raise NotImplementedError

    def _targets(self, y: Any) -> Any:
        """The targets as the client sends them."""
        raise NotImplementedError

    def _described(self, client: Client, model: str) -> Model:
        """What the server says of a model. Raises UnsupportedInput if it is of another kind."""
        with of_model():
            described = client.model(model, timeout=self.timeout)
        if described.kind != self._kind:
            name = type(self).__name__
            raise UnsupportedInput(f"model: {name} needs a model of {self._kind}, {model} is one of {described.kind}")
        return described

    def _only_model(self, client: Client, features: int, y: Any) -> str:
        """The model for so many features and targets. Raises UnsupportedInput if there is none, or more than one."""
        targets = 1 if np.ndim(y) == 1 else y.shape[1]
        fitting = [
            each.name
            for each in client.models(timeout=self.timeout)
            if (each.kind, each.features) == (self._kind, features)
            and (self._kind == "classification" or each.targets == targets)
        ]
        if len(fitting) != 1:
            wanted = f"a single model of {self._kind} for n_features={features}"
            wanted += f", n_targets={targets}" if self._kind == "regression" else ""
            fix = "pass the name of one" if fitting else "Client().models() lists what the server has"
            raise UnsupportedInput(f"model: expected {wanted}, got {', '.join(fitting) or 'none'}: {fix}")
        return fitting[0]
