import math

from app.training.tables.verdict import gains, known_rows, verdict, worth_serving
from service_tests.training.tables.made_up_comparisons import comparison_of

BASELINE = [1.0, 1.2, 0.8, 1.0]


def test_better_worse_and_unclear() -> None:
    errors = {
        "model": [[1.1, 1.1, 0.8, 1.0], [0.5, 0.62, 0.4, 0.48], [1.2, 1.4, 1.0, 1.21]],
        "boosting": [BASELINE] * 3,
        "ridge": [[9.0] * 4] * 3,
    }
    comparison = comparison_of(errors, ["boosting"] * 3)
    assert worth_serving(comparison)
    assert verdict(comparison) == (
        "Worth serving with 3 known rows: its squared error is 50 % (43 to 57 %) smaller with 3 known rows than that "
        "of boosting; its squared error is 20.2 % (19.8 to 20.7 %) larger with 5 known rows than that of boosting; "
        "with 0 known rows it does not clearly differ from boosting. Validation chose the baselines; 95 % intervals "
        "over 4 held-out tasks."
    )


def test_the_chosen_baseline_counts_and_not_the_best_on_held_out_tasks() -> None:
    errors = {"model": [[0.9, 1.1, 0.7, 0.9]], "chosen": [BASELINE], "lucky": [[0.1] * 4]}
    assert worth_serving(comparison_of(errors, ["chosen"]))
    assert not worth_serving(comparison_of(errors, ["lucky"]))


def test_no_baseline_is_beaten() -> None:
    comparison = comparison_of({"model": [BASELINE], "ridge": [[1.0, 1.2, 0.8, 1.01]]}, ["ridge"])
    assert not worth_serving(comparison)
    assert verdict(comparison).startswith(
        "Not worth serving, as a baseline does as well: with 0 known rows it does not"
    )


def test_sizes_without_tasks_are_left_out() -> None:
    comparison = comparison_of({"model": [[math.nan] * 4], "ridge": [[math.nan] * 4]}, ["ridge"])
    assert gains(comparison) == []
    assert verdict(comparison) == "No verdict: no held-out task has enough rows."


def test_one_task_has_no_interval() -> None:
    comparison = comparison_of({"model": [[0.5]], "ridge": [[1.0]]}, ["ridge"])
    assert not worth_serving(comparison)


def test_known_rows() -> None:
    assert known_rows([1], "or") == "1 known row"
    assert known_rows([0, 3, 5], "and") == "0, 3 and 5 known rows"
