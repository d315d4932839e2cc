"""The part of a bundle's card that says what intervals promise."""

from app.learn.calibration_table import Calibration


def intervals_text(calibration: Calibration, defaults: str, targets: int) -> str:
    """What intervals promise, and how their widths were measured. defaults: what a request must not change"""
    levels = f"{calibration.levels[0]:g} to {calibration.levels[-1]:g}"
    initial = calibration.shots[0] == 0
    needs = " and ".join([*([] if initial else ["a support set"]), *([defaults] if defaults else [])])
    zero = " 0 is a prediction without support examples." if initial else ""
    limits = f" Intervals\nneed {needs}: other requests with `interval` get a 422." if needs else ""
    width = (
        "The width depends on the level and on the number of support examples, and is the same for all queries of a "
        "request."
    )
    if calibration.has_distances:
        width = (
            "The width depends on the level, on the number of support examples and on the distance of the query from "
            "the nearest of them: further away it is larger, or the same."
        )
    if calibration.relative:
        width = (
            "The width is a multiple of the standard deviation of the prediction (`std`). The multiple depends on the "
            "level and on the number of support examples."
        )
    if targets > 1:
        width += " Each number of a prediction has its own width."
    return f"""`"interval": 0.9` in `/predict` adds `lower` and `upper`. The level can be {levels}.{limits}

Over many tasks like those of training, 90 % of the true values lie between `lower` and `upper`. In a single task the
share can be higher or lower. {width}
{_measured(calibration)}{zero} Between two of them the width is
interpolated. For more than {calibration.shots[-1]} examples it is that for {calibration.shots[-1]}."""


def _measured(calibration: Calibration) -> str:
    sizes = numbers_text(calibration)
    if calibration.relative:
        return (
            f"The multiples were measured on {calibration.tasks:,} training tasks, each predicted by a model that was\n"
            "fitted without it. They are quantiles of errors, those that cover tasks that are left out in turn, for\n"
            f"these numbers of examples: {sizes}."
        )
    return (
        "The widths were measured by conformal prediction (they are quantiles of errors), on "
        f"{calibration.tasks:,} tasks of the\nvalidation split for each of these numbers of examples: {sizes}."
    )


def numbers_text(calibration: Calibration, word: str = "") -> str:
    """The numbers of examples that are calibrated. word: before the last one"""
    *others, last = map(str, calibration.shots)
    return f"{', '.join(others)} {word} {last}" if word and others else ", ".join([*others, last])
