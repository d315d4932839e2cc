"""Encoders by name: ours are found by their modules, and what a stranger's code raises becomes one line."""

import subprocess
import sys

import pytest

from app.encoders import registry
from app.encoders.encoder import StateError
from app.encoders.image import ImageEncoder
from app.encoders.numbers import NumbersEncoder
from app.encoders.spec import EncoderSpec
from app.encoders.table import TableEncoder
from app.encoders.text import TextEncoder
from app.errors import TrainingError
from service_tests.processes import ROOT

BARE = """
import sys
for name in ("PIL", "torch", "safetensors", "pydantic", "fastapi", "msgspec"):
    sys.modules[name] = None
from app.encoders.registry import fit
print(fit("numbers", [[1, 2]], {}).encode([[1, 2]]), fit("table", [{"a": 1}], {}).encode([{"a": 1}]))
print(fit("image", [[[0, 1]]], {}).encode([[[0, 1]]]))
"""


class Broken:
    """A stranger's encoder."""

    @classmethod
    def fit(cls, rows: object, **options: object) -> None:
        raise ZeroDivisionError("no\nrows")

    from_state = fit


def test_encoders_are_found_by_their_modules_alone() -> None:
    found: dict[str, object] = {name: load() for name, load in registry.encoders().items()}
    assert found == {"image": ImageEncoder, "numbers": NumbersEncoder, "table": TableEncoder, "text": TextEncoder}


def test_what_an_encoder_raises_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(registry, "encoders", lambda: {"broken": lambda: Broken})
    with pytest.raises(TrainingError, match=r"^the encoder broken raised ZeroDivisionError: no rows$"):
        registry.fit("broken", [], {})
    with pytest.raises(StateError, match=r"^the encoder 'broken' fails: TypeError: "):
        registry.restore(EncoderSpec("broken"), {})


def test_options_that_an_encoder_lacks_are_refused_with_those_that_exist() -> None:
    with pytest.raises(
        TrainingError,
        match=r"^options of the encoder 'numbers': expected one of shape, scale, names, units, got colour$",
    ):
        registry.fit("numbers", [[1.0]], {"scale": True, "colour": 3})


def test_numbers_and_tables_need_numpy_alone() -> None:
    result = subprocess.run([sys.executable, "-c", BARE], cwd=ROOT, capture_output=True, text=True, check=False)
    assert result.stdout.split() == ["[[1.", "2.]]", "[[0.]]", "[[0.", "1.]]"], result.stderr
