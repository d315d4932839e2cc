"""Reading Omniglot: the archives that the public gets, the same images as arrays, and the error without them."""

from collections import Counter
from io import BytesIO
from pathlib import Path
from zipfile import ZipFile

import numpy as np
import pytest
import torch
from PIL import Image

from app.errors import DataError
from app.families import omniglot_archives as omniglot_images
from app.families.omniglot_archives import ALPHABETS, PARTS, area_weights, read, shrink
from service_tests.processes import DATA

COUNTS = {"Arcadian": 2, "Latin": 3, "Angelic": 1}
"""Characters of the small archives below, in the order in which they are counted."""


@pytest.fixture(scope="module")
def ink() -> np.ndarray:
    """Drawings for the small archives."""
    return np.random.default_rng(0).random((6, 20, 105, 105)) < 0.1


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(omniglot_images, "CHARACTERS", 6)


def archive(path: Path, alphabets: list[str], ink: np.ndarray) -> None:
    """An archive as the official ones are, its files in another order than the characters are counted in."""
    drawings = iter(ink)
    files = {}
    for alphabet in alphabets:
        for number in range(1, COUNTS[alphabet] + 1):
            for person, drawing in enumerate(next(drawings), start=1):
                content = BytesIO()
                Image.fromarray(np.logical_not(drawing)).save(content, "PNG")
                folder = f"{path.stem}/{alphabet}/character{number:02}"
                files[f"{folder}/{number:04}_{person:02}.png"] = content.getvalue()
    with ZipFile(path, "w") as file:
        for name in reversed(files):
            file.writestr(name, files[name])


@pytest.mark.usefixtures("small")
def test_archives_and_arrays_are_the_same(ink: np.ndarray, tmp_path: Path) -> None:
    zips, arrays = tmp_path / "zips", tmp_path / "arrays"
    zips.mkdir()
    arrays.mkdir()
    archive(zips / f"{PARTS[0]}.zip", ["Arcadian", "Latin"], ink[:5])
    archive(zips / f"{PARTS[1]}.zip", ["Angelic"], ink[5:])
    np.savez(arrays / f"{PARTS[0]}.npz", images=np.logical_not(ink[:5]))
    np.savez(arrays / f"{PARTS[1]}.npz", images=np.logical_not(ink[5:]))
    assert torch.equal(read(zips), read(arrays))
    torch.testing.assert_close(read(zips), shrink(ink))


def test_each_pixel_is_how_much_of_it_is_ink(ink: np.ndarray) -> None:
    """105 / 28 = 15 / 4: each pixel, repeated 4 times, is cut into 28 pieces of 15, and the piece is averaged."""
    drawing = ink[0, 0].astype(np.float64)
    expected = drawing.repeat(4, 0).repeat(4, 1).reshape(28, 15, 28, 15).mean((1, 3))
    torch.testing.assert_close(shrink(ink[:1, :1])[0, 0].double(), torch.from_numpy(expected), rtol=0, atol=1e-6)


@pytest.mark.parametrize(("before", "after"), [(105, 28), (28, 28), (30, 7), (10, 9)])
def test_no_ink_is_lost(before: int, after: int) -> None:
    weights = area_weights(before, after)
    torch.testing.assert_close(weights.sum(1), torch.ones(after))
    torch.testing.assert_close(weights.sum(0), torch.full((before,), after / before))


def test_where_the_data_is_to_be_had_is_said(tmp_path: Path) -> None:
    for folder in (None, tmp_path):
        with pytest.raises(DataError, match=r"images_background\.zip.*github\.com/brendenlake/omniglot"):
            read(folder)


@pytest.mark.parametrize("name", [f"{PARTS[0]}.npz", f"{PARTS[0]}.zip"])
def test_rubbish_is_refused(name: str, tmp_path: Path) -> None:
    (tmp_path / name).write_bytes(b"rubbish")
    with pytest.raises(DataError, match="expected a file that can be read, got "):
        read(tmp_path)


@pytest.mark.usefixtures("small")
def test_a_part_of_it_is_refused(ink: np.ndarray, tmp_path: Path) -> None:
    for part in PARTS:
        np.savez(tmp_path / f"{part}.npz", images=np.logical_not(ink[:2]))
    with pytest.raises(DataError, match="expected 6 characters, got 4"):
        read(tmp_path)


def test_the_characters_are_counted_as_the_data_set_counts_them() -> None:
    classes = DATA / "omniglot/classes.csv"
    if not classes.exists():
        pytest.skip(f"no {classes.name} here: {omniglot_images.SOURCE}")
    rows = [line.split(",") for line in classes.read_text().splitlines()[1:]]
    assert list(Counter(row[3] for row in rows)) == list(ALPHABETS)
    assert [int(row[0]) for row in rows] == [*range(1, 1624)]
    named = [(ALPHABETS.index(row[3]), row[4]) for row in rows]
    assert named == sorted(named)
