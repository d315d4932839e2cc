import json
from dataclasses import replace

from app.training.tables.comparison_text import (
    comparison_json,
    comparison_section,
    errors_table,
    intervals_table,
    wins_text,
)
from app.training.tables.held_out_rows import Protocol
from service_tests.training.tables.made_up_comparisons import comparison_of

COMPARISON = comparison_of(
    {"model": [[1.0, 2.0], [0.4, 0.6]], "ridge": [[2.0, 3.0], [0.5, 0.7]], "mean": [[0.5, 1.5], [2.0, 2.1]]},
    ["ridge", "mean"],
)


def test_the_table_marks_the_chosen_baseline_and_those_that_win() -> None:
    lines = errors_table(COMPARISON).splitlines()
    assert lines[0] == "| known rows | 0 | 3 |"
    assert lines[2] == "| model | 1.500 ± 0.980 | 0.500 ± 0.196 |"
    assert lines[3] == "| ridge | 2.500 ± 0.980 `*` (+67 %) | 0.600 ± 0.196 (+20 %) |"
    assert lines[4] == "| mean | **1.000 ± 0.980** (-33 %) | 2.050 ± 0.098 `*` (+310 %) |"


def test_a_ratio_that_rounds_to_nothing_has_no_minus() -> None:
    alike = comparison_of({"model": [[1.0, 2.0]], "ridge": [[0.999, 2.0]]}, ["ridge"])
    assert errors_table(alike).splitlines()[3].endswith("(+0 %) |")


def test_where_a_baseline_wins() -> None:
    assert wins_text(COMPARISON) == "Better than the model beyond chance: mean with 0 known rows."
    without = comparison_of({"model": [[1.0, 2.0]], "ridge": [[1.1, 2.2]]}, ["ridge"])
    assert wins_text(without) == "No baseline is better than the model beyond chance."


def test_coverage_and_interval_score() -> None:
    assert intervals_table(COMPARISON).splitlines()[2] == "| model | 90.0 ± 0.0 % (1.500) | 90.0 ± 0.0 % (0.500) |"


def test_the_section_has_all_parts() -> None:
    section = comparison_section(COMPARISON)
    assert section.startswith("Worth serving with 0 or 3 known rows")
    for part in (errors_table(COMPARISON), intervals_table(COMPARISON), wins_text(COMPARISON), "drawn 3 times"):
        assert part in section


def test_json_has_plain_values() -> None:
    kept = json.loads(json.dumps(comparison_json(COMPARISON), allow_nan=False))
    assert kept["chosen"] == ["ridge", "mean"]
    assert kept["errors"]["model"] == [[1.5, 0.98], [0.5, 0.196]]
    assert kept["differences"][1] == [-1.55, 0.098]
    assert kept["worth_serving"] is True


def test_labels_have_no_intervals() -> None:
    section = comparison_section(replace(COMPARISON, protocol=Protocol(sizes=(0, 3), labels=True)))
    assert "share of wrong labels is" in section
    assert "Share of wrong labels, mean over 2 held-out tasks" in section
    assert "90 % intervals" not in section
