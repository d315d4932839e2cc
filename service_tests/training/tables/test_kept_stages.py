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


def test_the_seconds_of_earlier_sessions_count(tmp_path: Path) -> None:
    kept = KeptStages(tmp_path)
    assert kept.seconds < 1
    kept["stage"] = {"weight": torch.zeros(3)}
    (tmp_path / "seconds.txt").write_text("65.4")
    again = KeptStages(tmp_path)
    again["next"] = {"weight": torch.zeros(3)}
    assert 65.4 < again.seconds < 66
    assert 65.4 <= KeptStages(tmp_path).seconds < 66
    assert [*again] == ["next", "stage"]
    (tmp_path / "seconds.txt").write_text("")
    assert KeptStages(tmp_path).seconds < 1
