from pathlib import Path

import pytest
import torch

from app.training.tables.kept_stages import KeptStages


def test_stages_are_kept_in_files(tmp_path: Path) -> None:
    kept = KeptStages(tmp_path / "stages")
    assert len(kept) == 0
    assert "fold 1 of 3: mixed" not in kept
    kept["fold 1 of 3: mixed"] = {"weight": torch.arange(6.0).reshape(2, 3).T, "count": torch.tensor(3)}
    again = KeptStages(tmp_path / "stages")
    assert torch.equal(again["fold 1 of 3: mixed"]["weight"], torch.arange(6.0).reshape(2, 3).T)
    assert again["fold 1 of 3: mixed"]["count"] == 3
    assert [*again] == ["fold-1-of-3-mixed"]
    del again["fold 1 of 3: mixed"]
    assert len(kept) == 0


def test_a_damaged_file_counts_as_none(tmp_path: Path) -> None:
    kept = KeptStages(tmp_path)
    kept["stage"] = {"weight": torch.zeros(3)}
    (tmp_path / "stage.safetensors").write_bytes(b"cut off")
    assert "stage" not in kept
    with pytest.raises(KeyError):
        kept["stage"]
