"""Records and their changes: examples and their numbers, revisions, and repeated requests."""

from dataclasses import replace

import numpy as np
import pytest

from app.errors import KeyReused, LastExample, NothingToUndo, UnknownExample
from app.learn.adaptation_outcome import Adapted, Status
from app.service.changed_records import with_examples, with_revision, without_example, without_last_stage
from app.service.fingerprints import content_bytes, has_applied, request_fingerprint
from app.service.record import Adaptation, Change
from app.service.store_protocol import Name
from app.service.stored_examples import Stage
from app.service.support_set import SupportSet
from service_tests.storage.records import record


def column(*values: float) -> np.ndarray:
    return np.array(values, np.float32)[:, None]


def episodes_of(*numbers: int) -> SupportSet:
    """A support set of decisions, each in the episode of that number."""
    rows = column(*range(len(numbers)))
    return SupportSet(rows, rows, np.array(numbers, np.int32))


def decisions() -> Adaptation:
    """A record of two episodes, numbered 0 and 1, of two and three decisions."""
    stage = Stage(1, np.array([0, 0, 1, 1, 1], np.int32), column(0, 1, 2, 3, 4), column(0, 0, 0, 0, 0))
    return replace(record(1), kind="decision", stages=(stage,), next_example=2)


def test_the_examples_of_a_support_set_are_rows_or_episodes() -> None:
    rows = SupportSet(column(1, 2, 3), column(4, 5, 6))
    assert rows.size == 3
    assert rows.numbers(7).tolist() == [7, 8, 9]
    assert len(rows.content) == 2
    episodes = episodes_of(0, 0, 1, 2)
    assert episodes.size == 3
    assert episodes.numbers(7).tolist() == [7, 7, 8, 9]
    assert episodes.numbers(7).dtype == np.int32
    assert len(episodes.content) == 3


def test_more_examples_are_a_stage_with_the_next_numbers() -> None:
    extended = with_examples(record(1), SupportSet(column(5), column(6)))
    assert [stage.revision for stage in extended.stages] == [1, 2]
    assert extended.numbers.tolist() == [0, 1, 2]
    assert extended.targets.tolist() == [[0], [0], [6]]
    assert extended.next_example == 3
    more = with_examples(decisions(), episodes_of(0, 1, 1))
    assert more.numbers.tolist() == [0, 1, 2, 3]
    assert more.next_example == 4


def test_numbers_of_forgotten_examples_are_not_used_again() -> None:
    extended = with_examples(without_example(record(1), 1), SupportSet(column(5), column(6)))
    assert extended.numbers.tolist() == [0, 2]


def test_forgetting_removes_all_rows_of_an_example_and_empty_stages() -> None:
    rest = without_example(decisions(), 0)
    (stage,) = rest.stages
    assert stage.inputs.tolist() == [[2], [3], [4]]
    assert rest.numbers.tolist() == [1]
    two = with_examples(rest, episodes_of(0))
    assert [each.revision for each in without_example(two, 1).stages] == [2]


def test_what_cannot_be_forgotten_or_undone() -> None:
    with pytest.raises(UnknownExample):
        without_example(record(1), 2)
    with pytest.raises(LastExample):
        without_example(without_example(record(1), 0), 1)
    with pytest.raises(NothingToUndo):
        without_last_stage(record(1))
    extended = with_examples(record(1), SupportSet(column(5), column(6)))
    assert without_last_stage(extended).numbers.tolist() == [0, 1]


def test_declared_classes_keep_their_order_without_examples() -> None:
    first = Stage(1, np.array([0], np.int32), column(0), np.array(["b"], object), labels=("a", "b"))
    more = SupportSet(column(1), np.array(["c"], object), weights=np.array([2], np.float32), labels=("c",))
    whole = with_examples(replace(record(1), kind="classification", stages=(first,), next_example=1), more)
    rest = without_example(whole, 0)
    assert (rest.labels, rest.numbers.tolist()) == (("a", "b", "c"), [1])
    with pytest.raises(LastExample):
        without_example(rest, 1)
    with pytest.raises(NothingToUndo):
        without_last_stage(rest)
    none = without_example(rest, 1, needs_examples=False)
    assert (none.labels, none.numbers.tolist(), none.weights) == (("a", "b", "c"), [], None)
    assert without_last_stage(none, needs_examples=False).labels == ("a", "b")
    assert (none.task.rows, none.task.inputs.shape) == (0, (0, 1))


def test_the_stages_of_decisions_are_tasks_one_after_another() -> None:
    before, last = with_examples(decisions(), episodes_of(0)).task.stages
    assert last.inputs.tolist() == [[0]]
    assert before.inputs.tolist() == [[0], [1], [2], [3], [4]]
    assert record(1).task.previous is None


def test_unlike_content_has_unlike_bytes() -> None:
    contents = [column(1, 2), column(1, 2).T, column(2, 1), np.array(["a", "b"], object), np.array(["ab"], object)]
    assert len({content_bytes(each) for each in contents}) == len(contents)
    assert content_bytes(np.array(["a"], object)) == content_bytes(np.array(["".join("a")], object))
    assert content_bytes(np.array([-0.0], np.float32)) == content_bytes(np.array([0.0], np.float32))


def test_a_repeated_request_is_recognised_by_its_key_and_what_it_asks_for() -> None:
    adapted = Adapted((1.0,), Status.improved)
    one, two = (SupportSet(column(number), column(number)) for number in (1, 2))
    asked = request_fingerprint("k", Change.extended, one)
    changed = with_revision(record(1), adapted, Change.extended, "cd" * 32, 101.0, request=asked)
    assert has_applied(changed, request_fingerprint("k", Change.extended, one))
    assert not has_applied(changed, request_fingerprint("another", Change.extended, one))
    assert not has_applied(record(1), asked)
    for change, other in ((Change.forgot, one), (Change.extended, two)):
        with pytest.raises(KeyReused):
            has_applied(changed, request_fingerprint("k", change, other))


def test_a_revision_completes_a_changed_record() -> None:
    names = [Name("key:k", b""), Name("content:abc", b"")]
    before = replace(record(1, names=names), quality={"helped": True})
    adapted = Adapted((3.0,), Status.no_progress)
    after = with_revision(without_example(before, 0), adapted, Change.forgot, "d", 101.0, forgotten=0)
    assert (after.revision, after.support_size, after.digest) == (2, 1, "d")
    assert after.history[-1].forgotten == 0
    assert (after.losses, after.status, after.quality) == ((3.0,), Status.no_progress, None)
    assert after.names == ("key:k",), "its content is another now"
