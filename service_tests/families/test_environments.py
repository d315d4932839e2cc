"""Environments of one's own, acted in side by side."""

from pathlib import Path

import pytest
import torch
from torch import Tensor

from app.errors import DataError, TrainingError
from app.families.environments import FIRST, Environments
from app.families.worlds_protocol import Worlds, collect
from app.learn.policies import Actions

pytest.importorskip("gymnasium", reason="an extra: pip install 'innerloop-server[driving]'")
STEPS = "service_tests.families.corridors:make_env"
NEEDS_MORE = "corridors_that_need_more"
METRES = "service_tests.families.corridors:make_metres"


def test_spaces_become_the_familys_form() -> None:
    steps, metres = Environments(STEPS), Environments(METRES)
    assert isinstance(steps, Worlds)
    assert (steps.features, steps.targets, steps.actions) == (2, 2, Actions())
    assert (metres.features, metres.targets, metres.actions) == (2, 1, Actions((-2.0,), (2.0,)))
    assert steps.network.name == "mlp"
    assert metres.network.name == "gaussian_mlp"


def test_episodes_end_where_their_environments_do() -> None:
    family = Environments(STEPS, longest=20)

    def right_in_the_first(seen: Tensor, going: Tensor) -> Tensor:
        chosen = torch.zeros(seen.shape[:-1], dtype=torch.int64)
        chosen[:, 0] = 1
        chosen[:, 1] = (seen[:, 1, 0] < 0).long()  # to and fro
        return torch.nn.functional.one_hot(chosen, 2).float()

    episodes = collect(family, family.reset([0, 1], 3, torch.Generator()), right_in_the_first)
    assert episodes.mask.sum(-1).tolist() == [[5, 20, 5]] * 2
    assert episodes.returns.tolist() == [[0, 0, 1], [1, 0, 0]]
    torch.testing.assert_close(episodes.observations[0, 0, :5, 0], torch.arange(5) / 5)


def test_numbers_beyond_the_bounds_are_clipped_where_the_world_acts() -> None:
    family = Environments(METRES, longest=20)
    episodes = collect(
        family, family.reset([1], 1, torch.Generator()), lambda seen, going: torch.full((1, 1, 1), 100.0)
    )
    assert episodes.mask.sum() == 3
    assert episodes.returns.item() == 1


def test_splits_have_tasks_of_their_own() -> None:
    family, generator = Environments(STEPS), torch.Generator().manual_seed(0)
    for split, first in FIRST.items():
        assert all(first <= task < first + 1_000_000 for task in family.draw(50, generator, split))  # type: ignore[arg-type]


def test_what_cannot_be_had_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / f"{NEEDS_MORE}.py").write_text("import no_such_package")
    monkeypatch.syspath_prepend(tmp_path)
    for env, why in (
        ("corridors", "MODULE:make_env"),
        (
            "no.such:thing",
            "--env: expected a module that can be imported, got no.such .*: run the command in the folder of no.py",
        ),
        (f"{NEEDS_MORE}:make", "importing .* raised ModuleNotFoundError: No module named 'no_such_package'"),
        ("math:pi", "--env: expected a function pi in the module math, got none"),
    ):
        with pytest.raises((TrainingError, DataError), match=why):
            Environments(env)
    with pytest.raises(DataError, match="environments have no decisions to imitate"):
        Environments(STEPS).sample(1, 1, torch.Generator())
