import pytest

from app.encoders.label_words import label_words


@pytest.mark.parametrize(
    ("label", "words"),
    [
        ("card_arrival", "card arrival"),
        ("cardArrival", "card Arrival"),
        ("card-arrival/late", "card arrival late"),
        ("Is my card lost?", "Is my card lost?"),
        ("chargé", "chargé"),
        ("top 10", "top 10"),
        ("天気", "天気"),
        ("ก", "ก"),
        ("हिन्दी", "हिन्दी"),
        ("Ａ７", None),
        ("A7", None),
        ("no", None),
        ("12", None),
        ("", None),
        (3, None),
        (True, None),
    ],
)
def test_a_label_has_words_if_it_has_a_word_of_three_letters(label: str | int | bool, words: str | None) -> None:
    assert label_words([label]) == [words]


def test_labels_that_differ_in_their_numbers_alone_have_no_words() -> None:
    assert label_words(["class 1", "class 2", "Class-3", "other"]) == [None, None, None, "other"]


def test_labels_that_differ_in_how_they_are_written_alone_have_no_words() -> None:
    assert label_words(["card_arrival", "cardArrival", "other"]) == [None, None, "other"]


def test_the_other_labels_of_a_task_decide_nothing_else() -> None:
    assert label_words(["card lost", "card found", 7]) == ["card lost", "card found", None]
