import runpy
import sys

import pytest
import torch
from jaxtyping import TypeCheckError

from app.learn.losses import mean_squared_error
from service_tests.processes import ROOT


def test_the_tests_check_shapes_at_run_time() -> None:
    with pytest.raises(TypeCheckError, match="mask"):
        mean_squared_error(torch.ones(3, 1), torch.ones(3, 1), torch.ones(2, dtype=torch.bool))


def test_without_jaxtyping_an_annotation_is_its_type(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "jaxtyping", None)
    names = runpy.run_path(str(ROOT / "app/learn/shape_annotations.py"))
    assert [names[name][torch.Tensor, "task example"] for name in ("Bool", "Float", "Int")] == [torch.Tensor] * 3
