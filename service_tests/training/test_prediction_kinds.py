import pytest
import torch

from app.families.registry import make
from app.learn import losses
from app.learn.algorithms import ALGORITHMS
from app.service import answers
from app.training import prediction_kinds as kinds
from app.training.prediction_kinds import KINDS, Score, accuracy


def test_learning_serving_and_training_have_the_same_kinds() -> None:
    assert KINDS.keys() == losses.KINDS.keys() == answers.KINDS.keys()


def test_a_score_that_is_not_finite_is_never_better() -> None:
    more, less = (Score("score", KINDS["regression"].score.per_example, more_is_better=each) for each in (True, False))
    assert more.better(2.0, 1.0)
    assert less.better(1.0, 2.0)
    for score in (more, less):
        assert score.better(1.0, float("nan"))
        assert not score.better(float("inf"), 1.0)
        assert not score.better(1.0, 1.0)


@pytest.mark.parametrize(
    ("features", "shots", "first"),
    [(2, 1, ("protonet", "ridge")), (784, 1, ("metasgd", "mamlpp")), (784, 5, ("protonet", "ridge"))],
)
def test_the_algorithms_for_classes_depend_on_the_inputs_and_the_shots(
    features: int, shots: int, first: tuple[str, str]
) -> None:
    assert tuple(KINDS["classification"].algorithms(make("blobs", {"features": features}), shots)[:2]) == first


def test_the_algorithms_of_a_search_exist_and_are_for_the_kind() -> None:
    assert KINDS["regression"].algorithms(make("sinusoid", {}), 5)[:2] == ("alpaca", "metasgd")
    for kind, names in (
        ("regression", kinds.NUMBERS),
        ("classification", kinds.ONE_SHOT_IMAGES + kinds.MORE_IMAGES + kinds.ROWS_OF_CLASSES),
        ("decision", kinds.POLICIES),
    ):
        assert all(kind in ALGORITHMS[name].kinds for name in names)


def test_accuracy() -> None:
    logits = torch.tensor([[[0.1, 0.9], [0.2, 0.1], [3.0, 4.0]]])
    assert accuracy(logits, torch.eye(2)[[1, 1, 1]].unsqueeze(0)).tolist() == [[1, 0, 1]]
