"""The part of a bundle's card that says how the bundle was trained."""

from collections.abc import Mapping
from typing import Any

from app.learn.algorithms import ALGORITHMS


def training_text(training: Mapping[str, Any]) -> str:
    """How a bundle was trained, in Markdown. Older bundles lack some of it."""
    if "recipe" not in training:
        return f"Its weights were trained elsewhere (`{training.get('weights', 'unknown')}`)."
    versions = ", ".join(f"{key} {value}" for key, value in training["versions"].items())
    # lists as in JSON, so that a card written again from the manifest is the same
    recipe = {key: list(value) if isinstance(value, tuple) else value for key, value in training["recipe"].items()}
    unused = {"variants"}
    if ALGORITHMS[training["recipe"]["algorithm"]].closed_form:
        unused |= {"inner_steps", "inner_rate", "adapt_steps"}
    if not recipe.get("episodes"):
        unused |= {"stages", "stage_steps", "decisions", "ratio", "divergence"}
    if ALGORITHMS[training["recipe"]["algorithm"]].learned_rate:
        recipe["inner_rate"] = f"{recipe['inner_rate']} (the start value; training learns the rates)"
    recipe = {key: value for key, value in recipe.items() if value and key not in unused}
    rows = "\n".join(f"| {key} | {value} |" for key, value in recipe.items())
    sentences = [
        f"`{training['command']}` reproduces it ({versions}, on {training['device']}): the same versions on the same "
        "kind of machine give the same weights.",
        *_cost(training),
    ]
    if reason := training.get("choice", {}).get("reason", ""):
        sentences.append(reason)
    return f"""{" ".join(sentences)}

<details><summary>The recipe</summary>

`tasks` is the number of tasks in an outer step, and `outer_rate` the learning rate of the outer loop.{_drawn(recipe)}

| | |
|---|---|
{rows}

</details>"""


def _drawn(recipe: Mapping[str, Any]) -> str:
    """Which settings each training task draws between two numbers."""
    drawn = [name for name in ("shots", "ways", "inner_steps") if isinstance(recipe.get(name), list | tuple)]
    names = " and ".join(f"`{name}`" for name in drawn)
    return f" Each training task draws {names} between the two numbers." if drawn else ""


def _cost(training: Mapping[str, Any]) -> list[str]:
    """What training cost and which of its meta-parameters the bundle has, in sentences."""
    if "cost" not in training:
        return []
    cost, best = training["cost"], training["validation"]
    count = "one process" if cost["processes"] == 1 else f"{cost['processes']} processes"
    used = f"Training used {cost['tasks']:,} tasks in {training['outer_steps']:,} outer steps, and took "
    used += f"{_duration(cost['seconds'])} in {count} on {cost['machine']}."
    if best is None:
        return [used]
    step = f"{best['outer_step']:,}"
    return [used, f"The bundle has the parameters after outer step {step}, which scored best on validation tasks."]


def _duration(seconds: float) -> str:
    return f"{seconds:.0f} seconds" if seconds < 100 else f"{seconds / 60:.0f} minutes"
