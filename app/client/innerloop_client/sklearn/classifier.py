"""Classification from a few examples."""

from typing import Any, ClassVar, TypeVar

import numpy as np
from sklearn.base import ClassifierMixin
from sklearn.utils.multiclass import check_classification_targets

from innerloop_client.client import TIMEOUT_S
from innerloop_client.errors import UnexpectedAnswer, UnsupportedInput, shown
from innerloop_client.sklearn.estimator import FewShotEstimator
from innerloop_client.sklearn.labels import as_labels, check_types, column, of_numpy, with_labels
from innerloop_client.sklearn.plain_errors import check_is_list

C = TypeVar("C", bound="FewShotClassifier")


class FewShotClassifier(ClassifierMixin, FewShotEstimator):  # type: ignore[misc]
    """Classification whose `fit` adapts a model on a server to a few examples.

    A fitted estimator has the URL and the id of the adaptation. Copies and pickles share the adaptation, until it
    expires.

    model: its name; None for the only model of classification on the server with as many features
    url, api_key: of the server, otherwise from the environment; see `Client`
    steps, learning_rate, label_names, label, ttl_s: of the adaptations; see `Client.adapt`
    timeout: seconds of each request, with its retries; `fit` and `partial_fit` send up to three

    After `fit`, `adaptation_id_`, `model_` and `url_` say what has adapted where, and `classes_` has the labels.
    """

    _kind: ClassVar[str] = "classification"
    _check_options: ClassVar[dict[str, Any]] = {}
    classes_: Any

    def __init__(
        self,
        model: str | None = None,
        url: str | None = None,
        api_key: str | None = None,
        *,
        steps: int | None = None,
        learning_rate: float | None = None,
        label_names: bool | None = None,
        label: str | None = None,
        ttl_s: int | None = None,
        timeout: float = TIMEOUT_S,
    ) -> None:
        super().__init__(
            model,
            url,
            api_key,
            steps=steps,
            learning_rate=learning_rate,
            label=label,
            ttl_s=ttl_s,
            timeout=timeout,
        )
        self.label_names = label_names

    def fit(self: C, X: Any, y: Any, sample_weight: Any = None) -> C:  # noqa: N803
        """Adapt the model to examples, as a new adaptation. Returns this estimator.

        X: [example, feature]; images or paths of images for a model of images, a DataFrame for a model of a table,
            strings for a model of texts
        y: [example], labels
        sample_weight: how much each example counts
        """
        return self._fit(X, y, sample_weight)

    def partial_fit(self: C, X: Any, y: Any, classes: Any = None, sample_weight: Any = None) -> C:  # noqa: N803
        """Add examples to those of the adaptation, or `fit` if there is none yet. Returns this estimator.

        The examples may have new classes.

        classes: all classes, at the first call. Labels that are not in it are refused from then on. A later call may
            repeat them
        """
        if not hasattr(self, "adaptation_id_"):
            return self._fit(X, y, sample_weight, classes)
        if classes is not None and self._classes(classes) != as_labels(self.classes_):
            raise ValueError(f"classes: expected those of the first call ({self.classes_}), got {shown(classes)}")
        labels = self._targets(y)
        check_types(labels, as_labels(self.classes_))
        self._extend(X, y, sample_weight)
        self.classes_ = with_labels(self.classes_, column(y), labels)
        return self

    def predict(self, X: Any) -> Any:  # noqa: N803
        """Predict the most probable label of each query."""
        predictions = np.asarray(self._predict(X).predictions, object)
        return self.classes_[self._positions(predictions.tolist())]

    def predict_proba(self, X: Any) -> Any:  # noqa: N803
        """The probability of each class of `classes_`: [query, class]."""
        prediction = self._predict(X)
        if prediction.labels is None:
            raise UnexpectedAnswer("expected labels from Innerloop, got none: check the URL")
        given = np.asarray(prediction.probabilities, "float32")
        probabilities = np.zeros((len(given), len(self.classes_)), "float32")
        probabilities[:, self._positions(prediction.labels)] = given
        return probabilities

    def _fit(self: C, X: Any, y: Any, sample_weight: Any, classes: Any = None) -> C:  # noqa: N803
        labels = None if classes is None else self._classes(classes)
        if labels is not None:
            check_types(self._targets(y), labels)
        self._adapt(X, y, sample_weight, labels=labels, label_names=self.label_names)
        self.classes_ = np.unique(column(y if classes is None else classes))
        return self

    def _plain(self, y: Any) -> Any:
        return of_numpy(y)

    def _targets(self, y: Any) -> Any:
        check_classification_targets(of_numpy(y))
        labels = column(y, warn=True)
        _refuse_times(labels, "y")
        return as_labels(labels)

    def _classes(self, classes: Any) -> list[Any]:
        """All classes in their order, as the server takes them. Raises UnsupportedInput and ValueError."""
        check_is_list(classes, "classes")
        given = column(classes, place="classes")
        if not len(given):
            raise UnsupportedInput("classes: expected at least 1 class, got none")
        check_classification_targets(given)
        _refuse_times(given, "classes")
        return as_labels(np.unique(given))

    def _positions(self, labels: list[Any]) -> list[int]:
        """Where labels of the server are in `classes_`. Raises UnsupportedInput for one that is not."""
        # with their types, as 1 and True are different labels
        positions = {(type(label), label): position for position, label in enumerate(as_labels(self.classes_))}
        unknown = [label for label in labels if (type(label), label) not in positions]
        if unknown:
            text = f"the adaptation has the class {shown(unknown[0])} from elsewhere, which is not in classes_"
            raise UnsupportedInput(f"{text}: fit again")
        return [positions[type(label), label] for label in labels]


def _refuse_times(labels: Any, place: str) -> None:
    """Raise UnsupportedInput for dates and durations."""
    if labels.dtype.kind in "mM":
        raise UnsupportedInput(f"{place}: expected texts, numbers or booleans as labels, got {labels.dtype}: use texts")
