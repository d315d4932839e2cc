"""Regression from a few examples."""

from typing import Any, ClassVar, TypeVar

import numpy as np
from sklearn.base import RegressorMixin
from sklearn.metrics import r2_score
from sklearn.utils import Tags, check_array

from innerloop_client.errors import UnexpectedAnswer, UnsupportedInput
from innerloop_client.sklearn.estimator import FewShotEstimator
from innerloop_client.sklearn.silent_conversions import as_numbers

R = TypeVar("R", bound="FewShotRegressor")


class FewShotRegressor(RegressorMixin, FewShotEstimator):  # type: ignore[misc]
    """Regression whose `fit` adapts a model on a server to a few examples.

    A fitted estimator has the URL and the id of the adaptation. Copies and pickles share the adaptation, until it
    expires.

    model: its name; None for the only model of regression on the server with as many features and targets
    url, api_key: of the server, otherwise from the environment; see `Client`
    steps, learning_rate, label, ttl_s: of the adaptations; see `Client.adapt`
    timeout: seconds of each request, with its retries; `fit` and `partial_fit` send up to three

    After `fit`, `adaptation_id_`, `model_` and `url_` say what has adapted where.
    """

    _kind: ClassVar[str] = "regression"
    _check_options: ClassVar[dict[str, Any]] = {"multi_output": True, "y_numeric": True}

    def fit(self: R, X: Any, y: Any, sample_weight: Any = None) -> R:  # noqa: N803
        """Adapt the model to examples, as a new adaptation. Returns this estimator.

        X: [example, feature]; a DataFrame for a model of a table
        y: [example], or [example, target]
        sample_weight: how much each example counts
        """
        self._adapt(X, y, sample_weight)
        return self

    def partial_fit(self: R, X: Any, y: Any, sample_weight: Any = None) -> R:  # noqa: N803
        """Add examples to those of the adaptation, or `fit` if there is none yet. Returns this estimator."""
        (self._extend if hasattr(self, "adaptation_id_") else self._adapt)(X, y, sample_weight)
        return self

    def predict(self, X: Any) -> Any:  # noqa: N803
        """Predict targets: [query], or [query, target], as float32."""
        return _numbers(self._predict(X).predictions)

    def predict_interval(self, X: Any, level: float = 0.9) -> tuple[Any, Any]:  # noqa: N803
        """The lower and the upper ends of intervals that have this share of true values, on average over many tasks.

        They are NaN for a query that is unlike what the model knows. Raises InvalidRequest for a model that is not
        calibrated.
        """
        if level is None:
            raise UnsupportedInput("level: expected a number between 0 and 1, such as 0.9, got None")
        prediction = self._predict(X, interval=level)
        if prediction.lower is None or prediction.upper is None:
            raise UnexpectedAnswer("expected intervals from Innerloop, got none: check the URL")
        return _numbers(prediction.lower), _numbers(prediction.upper)

    def score(self, X: Any, y: Any, sample_weight: Any = None) -> float:  # noqa: N803
        """The coefficient of determination, R2, of the predictions for X. Raises UnsupportedInput.

        y: [query], or [query, target]; names of several targets are in the order of the model's
        """
        predictions = self.predict(X)
        self._check_targets(y)
        return float(r2_score(y, predictions, sample_weight=sample_weight))

    def __sklearn_tags__(self) -> Tags:
        tags = super().__sklearn_tags__()
        tags.target_tags.multi_output = True
        return tags

    def _plain(self, y: Any) -> Any:
        return as_numbers(y, "y")

    def _targets(self, y: Any) -> Any:
        values = check_array(y, ensure_2d=False, dtype="float64", input_name="y")
        return values[:, 0] if values.ndim == 2 and values.shape[1] == 1 else values


def _numbers(values: Any) -> Any:
    return np.asarray(values, "float32")
