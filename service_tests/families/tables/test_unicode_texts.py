"""Half of a surrogate pair is refused before any training, with its place."""

from pathlib import Path

import pytest

from app.errors import DataError
from app.families.tables.read_table import read_table

pytest.importorskip("pyarrow", reason="an extra: pip install 'innerloop-server[tables]'")
LINES = {
    r'{"who": "a", "x": "\ud800"}': 't.jsonl, line 2, x: expected a text in Unicode, got half of a surrogate pair',
    r'{"who": "\ud800", "x": 1}': 't.jsonl, line 2, who: expected a text in Unicode, got half of a surrogate pair',
    r'{"who": "a", "\ud800": 1}': 't.jsonl: expected names of columns in Unicode, got half of a surrogate pair',
}  # fmt: skip


@pytest.mark.parametrize("line", LINES)
def test_half_of_a_pair_is_refused(tmp_path: Path, line: str) -> None:
    (tmp_path / "t.jsonl").write_text(f'{{"who": "b", "x": "c"}}\n{line}\n')
    with pytest.raises(DataError) as error:
        read_table(tmp_path / "t.jsonl")
    assert str(error.value).startswith(LINES[line])


def test_whole_pairs_are_texts(tmp_path: Path) -> None:
    (tmp_path / "t.jsonl").write_text(r'{"who": "b", "x": "\ud83d\ude00"}')
    assert read_table(tmp_path / "t.jsonl").columns["x"].tolist() == ["\U0001f600"]
