"""Reading people's risky choices: the package's tables, packed copies of them, and the error without them."""

import gzip
from pathlib import Path

import pytest
import torch

from app.errors import DataError
from app.families import choices_data as risky_choices
from app.families.choices_data import CONDITIONS, read
from service_tests.processes import DATA

HEAD = "gain\tloss\tcert\tgamble\toutcome\tcond\tsubjID"
ROWS = ["2\t-1\t0\t1\t2\t0\t7", "12\t0\t5\t0\t5\t0\t3", "9\t13.5\t0\t0\t0\t0\t7"]


def tables(folder: Path, rows: list[str], *, packed: bool = False) -> Path:
    folder.mkdir(exist_ok=True)
    content = "\n".join([HEAD, *rows]) + "\n"
    for condition in CONDITIONS:
        if packed:
            (folder / f"risky_choice_{condition}.tsv.gz").write_bytes(gzip.compress(content.encode()))
        else:
            (folder / f"ra_data_{condition}.txt").write_text(content)
    return folder


def test_a_sitting_is_what_a_person_decided_in_order(tmp_path: Path) -> None:
    sittings = read(tables(tmp_path, ROWS))
    assert [(each.person, each.condition) for each in sittings] == [
        (3, "attend"), (7, "attend"), (3, "reappraisal"), (7, "reappraisal"),
    ]  # fmt: skip
    assert sittings[1].offers.tolist() == [[2, -1, 0], [9, -13.5, 0]]
    assert sittings[1].accepted.tolist() == [True, False]


def test_packed_copies_are_the_same(tmp_path: Path) -> None:
    plain, packed = read(tables(tmp_path / "plain", ROWS)), read(tables(tmp_path / "packed", ROWS, packed=True))
    for one, two in zip(plain, packed, strict=True):
        assert torch.equal(one.offers, two.offers)
        assert torch.equal(one.accepted, two.accepted)


def test_where_the_data_is_to_be_had_is_said(tmp_path: Path) -> None:
    for folder in (None, tmp_path):
        with pytest.raises(DataError, match=r"ra_data_attend\.txt.*github\.com/CCS-Lab/hBayesDM"):
            read(folder)


@pytest.mark.parametrize("row", ["2\tmuch\t0\t1\t2\t0\t7", "2\t-1"])
def test_rubbish_is_refused(row: str, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="table attend: expected numbers"):
        read(tables(tmp_path, [*ROWS, row]))


def test_a_broken_archive_is_refused(tmp_path: Path) -> None:
    (tmp_path / "risky_choice_attend.tsv.gz").write_bytes(b"rubbish")
    with pytest.raises(DataError, match="expected a file that can be read, got "):
        read(tmp_path)


def test_the_same_people_sat_twice() -> None:
    """Who accepts more gambles under one instruction accepts more under the other, number by number."""
    folder = DATA / "decisions"
    if not folder.is_dir():
        pytest.skip(f"no {folder.name} here: {risky_choices.SOURCE}")
    sittings = read(folder)
    assert [each.person for each in sittings] == [*range(1, 31)] * 2
    share = torch.tensor([each.accepted.double().mean() for each in sittings]).reshape(2, 30)
    assert abs(torch.corrcoef(share)[0, 1] - 0.94) < 0.005
    assert {len(each.accepted) for each in sittings} == {136, 138, 139, 140}
