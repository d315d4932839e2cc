import torch

from app.families.registry import make
from app.learn.algorithms import ALGORITHMS
from app.training import algorithm_search as choice
from app.training.algorithm_search import Choice, Round, choose, prior
from app.training.loop import Run
from app.training.recipes.recipe import Recipe

CPU = torch.device("cpu")


def test_the_field_is_halved_until_one_is_left() -> None:
    recipe = Recipe("sinusoid", outer_steps=64, tasks=4, validation_tasks=10)
    seen: list[Round] = []
    found = choose(recipe, lambda each: Run(each, CPU, compiled=False), seen.append)
    assert [len(each.scores) for each in found.rounds] == [8, 4, 2]
    assert [each.outer_steps for each in found.rounds] == [4, 8, 16]
    assert seen == found.rounds
    for earlier, later in zip(found.rounds, found.rounds[1:], strict=False):
        kept = max(earlier.scores[name] for name in later.scores)
        assert all(score >= kept for name, score in earlier.scores.items() if name not in later.scores)
    assert found.algorithm == min(found.rounds[-1].scores, key=lambda name: found.rounds[-1].scores[name])
    assert found.reason.startswith(f"`{found.algorithm}` was chosen on validation tasks among ")
    assert Choice.from_json(found.as_json()) == found


def test_the_prior_begins_with_what_has_the_best_name() -> None:
    assert prior(make("sinusoid", {}), 5)[:2] == ("alpaca", "metasgd")
    assert prior(make("blobs", {}), 1)[0] == "protonet"
    images = make("blobs", {"features": 784})
    assert prior(images, 1)[:2] == ("metasgd", "mamlpp")
    assert prior(images, 5)[0] == "protonet"


def test_the_prior_names_algorithms_that_there_are() -> None:
    named = {*choice.NUMBERS, *choice.ONE_SHOT_IMAGES, *choice.MORE_IMAGES, *choice.ROWS_OF_CLASSES}
    assert named <= ALGORITHMS.keys()
