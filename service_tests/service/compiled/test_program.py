"""A compiled function: the sizes it is for, what it does at others, and what it refuses."""

import pytest
import torch
from torch import Tensor, nn
from torch.func import functional_call, vmap

from app.learn.inner import Examples, State
from app.learn.pytrees import leaves, rebuild
from app.service.compiled.compile_models import compile_function
from app.service.compiled.program import Program

pytestmark = pytest.mark.compiled


def examples(tasks: int, shots: int) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(tasks + shots)
    return torch.randn(tasks, 6, generator=generator), torch.randn(tasks, shots, 6, generator=generator)


def product(weights: Tensor, inputs: Tensor) -> dict[str, Tensor]:
    return {"sum": (inputs * weights.unsqueeze(1)).sum(-1), "tanh": inputs.tanh()}


@pytest.fixture(scope="module")
def program() -> "Program[[Tensor, Tensor], dict[str, Tensor]]":
    return Program(product, examples(7, 11), (1, 2), {})


@pytest.mark.parametrize("tasks", [1, 2, 6, 7, 64, 1000])
@pytest.mark.parametrize("shots", [1, 2, 6, 11, 5000])
def test_is_the_function_at_every_size(
    program: "Program[[Tensor, Tensor], dict[str, Tensor]]", tasks: int, shots: int
) -> None:
    if tasks * shots > 100_000:
        tasks = 10
    arguments = examples(tasks, shots)
    result, expected = program(*arguments), product(*arguments)
    assert list(result) == list(expected)
    for name, value in expected.items():
        torch.testing.assert_close(result[name], value)


def test_at_a_size_that_the_code_is_not_for_the_function_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    program = Program(product, examples(7, 11), (1, 2), {})
    monkeypatch.setattr(program, "run", None)
    arguments = examples(1, 5)
    assert torch.equal(program(*arguments)["tanh"], arguments[1].tanh())


def test_every_size_that_the_code_depends_on_is_checked() -> None:
    """Code may depend on the size of its second argument too; on a GPU, on whether 32 bits can count it."""

    def choose(rows: Tensor, cache: Tensor) -> Tensor:
        return cache[rows] * (2 if cache.shape[0] < 1000 else 3)

    program = Program(choose, (torch.arange(7), torch.ones(13, 3)), (1, 1), {})
    for size in (13, 64, 999, 1000, 5000):
        cache, rows = torch.rand(size, 3), torch.tensor([5, 0, 5])
        torch.testing.assert_close(program(rows, cache), choose(rows, cache))


def test_what_it_returns_can_be_what_it_takes() -> None:
    program = Program(lambda x: x.mT.exp().mT, (torch.ones(7, 3, 4),), (1,), {})
    x = torch.randn(5, 3, 4, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(program(program(x)), x.exp().exp())


def test_a_function_that_is_for_one_size_is_refused() -> None:
    with pytest.raises(RuntimeError, match="any number of tasks"):
        Program(lambda x: x * len(x), (torch.ones(7, 3),), (1,), {})


def test_convolutions_are_refused_before_anything_is_compiled(monkeypatch: pytest.MonkeyPatch) -> None:
    """torch.func fixes the sizes of their batches, so they stay eager."""
    monkeypatch.setattr("app.service.compiled.program._inductor", None)
    network = nn.Conv2d(1, 4, 3)
    weights = {name: value.detach().expand(7, *value.shape).clone() for name, value in network.state_dict().items()}
    apply = vmap(lambda own, images: functional_call(network, own, (images,)))
    with pytest.raises(RuntimeError, match="any number of tasks"):
        Program(apply, (weights, torch.ones(7, 11, 1, 8, 8)), (1, 2), {})


def test_where_torch_fails_on_a_program_torch_compile_serves(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(*_: object) -> None:
        raise IndexError("list index out of range")

    monkeypatch.setattr("app.service.compiled.program._inductor", fail)
    tanh = compile_function(lambda x: x.tanh(), (torch.ones(7, 3),), (1,), {})
    assert "compiling with torch.compile" in caplog.text
    x = torch.rand(5, 3)
    torch.testing.assert_close(tanh(x), x.tanh())


def test_trees_come_back_as_they_were() -> None:
    one, two, three = torch.ones(1), torch.ones(2), torch.ones(3)
    tree = ({"b": one, "a": two}, State({"w": three}, {}), Examples(one, two, three))
    assert leaves(tree) == [one, two, three, one, two, three]
    again = rebuild(tree, iter(leaves(tree)))
    assert again == tree
    assert type(again[1]) is State
