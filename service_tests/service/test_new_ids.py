"""Ids of adaptations: UUIDs of version 7 that ascend."""

from functools import reduce
from itertools import islice, pairwise
from operator import and_, or_
from uuid import RFC_4122, UUID

import pytest

from app.service.new_ids import ids


def milliseconds(one: str) -> int:
    return int(one[:12], 16)


def test_an_id_is_a_uuid_of_version_7() -> None:
    one = next(ids(lambda: 1_800_000_000.125))
    assert one == UUID(one).hex
    assert (UUID(one).version, UUID(one).variant) == (7, RFC_4122)
    assert milliseconds(one) == 1_800_000_000_125


def test_ids_of_one_millisecond_are_counted() -> None:
    made = list(islice(ids(lambda: 5.0), 4097))
    assert made == sorted(set(made))
    assert [int(one[13:16], 16) for one in made] == [*range(4096), 0]
    assert [milliseconds(made[index]) for index in (0, 4095, 4096)] == [5000, 5000, 5001]


@pytest.mark.parametrize("readings", [(5.0, 5.001, 9.0), (5.0, 4.0, 4.5), (5.0, 0.0, 5.0005, 5.002)])
def test_ids_ascend_even_where_the_clock_goes_back(readings: tuple[float, ...]) -> None:
    clock = iter(readings)
    made = list(islice(ids(lambda: next(clock)), len(readings)))
    assert all(before < after for before, after in pairwise(made))
    assert milliseconds(made[-1]) == int(max(readings) * 1000)


def test_the_last_62_bits_are_random() -> None:
    ends = [int(one[16:], 16) for one in islice(ids(lambda: 5.0), 300)]
    assert reduce(or_, ends) == (1 << 63) + (1 << 62) - 1
    assert reduce(and_, ends) == 1 << 63
