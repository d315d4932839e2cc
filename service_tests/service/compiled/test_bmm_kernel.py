"""The kernel for small matrices against float64, in every layout, and what happens where it cannot be had."""

import logging
from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from app.bundles.folder import load
from app.service.compiled.compile_models import compile_steps
from app.service.model import Model

pytestmark = pytest.mark.compiled
SIZES = st.sampled_from([1, 2, 3, 5, 7, 8, 9, 10, 15, 16, 17, 24, 31, 33, 40, 47, 48, 49, 63, 64, 65, 80])
LAYOUTS = st.sampled_from(["contiguous", "transposed", "strided", "expanded", "offset"])


def matrices(tasks: int, rows: int, columns: int, layout: str, seed: int) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)

    def normal(*shape: int) -> torch.Tensor:
        return torch.randn(shape, generator=generator)

    match layout:
        case "transposed":
            return normal(tasks, columns, rows).mT
        case "strided":
            return normal(tasks, rows, 2 * columns)[:, :, ::2]
        case "expanded":
            return normal(1, rows, columns).expand(tasks, rows, columns)
        case "offset":
            return normal(tasks, rows, columns + 3)[:, :, 1 : columns + 1]
        case _:
            return normal(tasks, rows, columns)


@given(st.sampled_from([0, 1, 2, 33]), SIZES, SIZES, SIZES, LAYOUTS, LAYOUTS)
def test_equals_torchs(tasks: int, m: int, n: int, k: int, a_layout: str, b_layout: str) -> None:
    import app.service.compiled.bmm_kernel  # noqa: F401 (defines the operator)

    a, b = matrices(tasks, m, k, a_layout, seed=1), matrices(tasks, k, n, b_layout, seed=2)
    result = torch.ops.innerloop.bmm(a, b)
    torch.testing.assert_close(result.double(), torch.bmm(a.double(), b.double()), rtol=1e-5, atol=3e-5)


def test_nan_spreads() -> None:
    import app.service.compiled.bmm_kernel  # noqa: F401 (defines the operator)

    a = torch.zeros(3, 10, 40)
    a[1, 2, 3] = torch.nan
    result = torch.ops.innerloop.bmm(a, torch.ones(3, 40, 40))
    assert result[1, 2].isnan().all()
    assert result.isnan().sum() == 40


def test_where_it_cannot_be_had_compiling_goes_on_without(
    models_dir: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def broken() -> None:
        raise RuntimeError("no kernel today")

    monkeypatch.setattr("app.service.compiled.bmm_kernel._kernel", broken)
    model = Model(load(models_dir / "linear"), torch.device("cpu"))
    with caplog.at_level(logging.WARNING):
        model.functions = compile_steps(model)
    assert "compiling without the kernel for small matrices: no kernel today" in caplog.text
    assert model.compiled
