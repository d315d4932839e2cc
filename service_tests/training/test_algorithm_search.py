import torch

from app.training.algorithm_search import Round, SearchResult, search_algorithm
from app.training.loop import Run
from app.training.recipes.recipe import Recipe

CPU = torch.device("cpu")


def test_the_field_is_halved_until_one_is_left() -> None:
    recipe = Recipe("sinusoid", outer_steps=64, tasks=4, validation_tasks=10)
    seen: list[Round] = []
    result = search_algorithm(recipe, lambda each: Run(each, CPU, compiled=False), seen.append)
    assert [len(each.scores) for each in result.rounds] == [8, 4, 2]
    assert [each.outer_steps for each in result.rounds] == [4, 8, 16]
    assert seen == result.rounds
    for earlier, later in zip(result.rounds, result.rounds[1:], strict=False):
        kept = max(earlier.scores[name] for name in later.scores)
        assert all(score >= kept for name, score in earlier.scores.items() if name not in later.scores)
    assert result.algorithm == min(result.rounds[-1].scores, key=lambda name: result.rounds[-1].scores[name])
    assert result.reason.startswith(f"`{result.algorithm}` was chosen on validation tasks among ")
    assert SearchResult.from_json(result.as_json()) == result
