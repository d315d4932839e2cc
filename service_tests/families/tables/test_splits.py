from app.families.tables.splits import split_tasks

NAMES = [f"patient {number}" for number in range(100)]


def test_every_task_is_in_one_split() -> None:
    splits = split_tasks(NAMES)
    assert [len(splits[each]) for each in ("training", "validation", "test")] == [70, 15, 15]
    assert sorted(name for names in splits.values() for name in names) == sorted(NAMES)


def test_the_order_of_the_file_does_not_matter() -> None:
    assert split_tasks(NAMES) == split_tasks(NAMES[::-1])


def test_one_more_task_moves_few() -> None:
    before = {name: split for split, names in split_tasks(NAMES).items() for name in names}
    after = {name: split for split, names in split_tasks([*NAMES, "another"]).items() for name in names}
    assert sum(before[name] != after[name] for name in NAMES) <= 2


def test_five_tasks_are_enough() -> None:
    assert all(split_tasks(NAMES[:5]).values())
