"""Every algorithm that is listed is tested here: golden values, and that parameters which do not move do not move."""

import json
from pathlib import Path

import pytest
import torch

from app.learn.adapted_parameters import head
from app.learn.algorithms import ALGORITHMS, Algorithm
from app.learn.inner import adapt
from app.learn.losses import mean_squared_error
from app.learn.outer_directions import displacement, query_gradient
from service_tests.learn.problem import examples, schedule, small, tasks

GOLDEN = Path(__file__).with_name("golden.json")
MAKE_GOLDEN = "python -m service_tests.learn.test_algorithms"


def golden_value(name: str) -> dict[str, float]:
    """The norm of the direction of each parameter after two inner steps, in float64, and the loss."""
    problem = small(name)
    direction, loss = ALGORITHMS[name].outer.direction(
        problem.inner, problem.loss, problem.meta, tasks(kind=problem.kind), schedule(steps=2)
    )
    return {"loss": loss.item()} | {key: value.norm().item() for key, value in direction.items()}


@pytest.mark.parametrize("name", sorted(ALGORITHMS))
def test_golden_values(name: str) -> None:
    golden = json.loads(GOLDEN.read_text())
    assert golden_value(name) == pytest.approx(golden[name], rel=1e-10), f"if this is meant: {MAKE_GOLDEN}"


def test_which_algorithms_make_the_output_for_a_class_of_its_examples() -> None:
    needing = {name for name, algorithm in ALGORITHMS.items() if algorithm.needs_examples}
    assert needing == {"protonet", "protomaml", "foprotomaml", "protoanil"}


def test_only_what_moves_moves() -> None:
    problem = small(Algorithm(query_gradient, partition=head))
    state, losses = adapt(problem.inner, problem.meta, examples(3, 5, seed=1), schedule(3, steps=5))
    assert sorted(state.fast) == ["2.bias", "2.weight"]
    assert (losses[:, -1] < losses[:, 0]).all()


def test_a_displacement_leaves_alone_what_does_not_move() -> None:
    problem = small(Algorithm(displacement, partition=head))
    direction, _ = displacement.direction(problem.inner, mean_squared_error, problem.meta, tasks(), schedule())
    assert torch.equal(direction["0.weight"], torch.zeros_like(problem.meta["0.weight"]))
    assert direction["2.weight"].norm() > 0


if __name__ == "__main__":
    GOLDEN.write_text(json.dumps({name: golden_value(name) for name in sorted(ALGORITHMS)}, indent=2) + "\n")
