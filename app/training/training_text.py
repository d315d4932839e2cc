"""The part of a bundle's card that says how the bundle was trained."""

from collections.abc import Mapping
from typing import Any

from app.learn.algorithms import ALGORITHMS
from app.training.evaluation_tables import machine_text
from app.training.scores_text import count_text

DRAWN = ("shots", "ways", "inner_steps")
"""Settings that each training task draws between two numbers."""
MEANINGS: Mapping[str, str] = {
    "family": "the problem",
    "family_options": "options of the family",
    "network": "the network, if it is not the usual one of the family",
    "network_options": "options of the network",
    "start": "bundle whose parameters training started from",
    "algorithm": "how the model adapts",
    "shots": "support examples of a training task; in classification, of each class",
    "ways": "classes of a training task",
    "queries": "query examples of a training task; in classification, of each class",
    "tasks": "tasks in an outer step",
    "outer_steps": "number of outer steps: each adapts to some tasks and then changes the parameters once",
    "outer_rate": "learning rate of the outer loop",
    "warmup_steps": "outer steps in which the outer rate rises",
    "decay": "how the outer rate changes: `cosine` lets it fall to 0",
    "outer_clip": "largest norm of the outer gradient, which changes the parameters in an outer step; a larger one is "
    "scaled down",
    "precision": "number format of the network in training",
    "inner_steps": "inner steps in training",
    "inner_rate": "learning rate of the inner loop",
    "scale_targets": "whether the network learns standardised targets",
    "seed": "of the initial parameters and the training tasks",
    "adapt_steps": "default steps of the bundle",
    "evaluation_shots": "shots of the evaluation",
    "evaluation_ways": "classes of the evaluation",
    "validate_every": "outer steps between two validations",
    "validation_tasks": "tasks of a validation",
    "episodes": "episodes of a task in a stage",
    "stages": "stages of episodes that a policy learns from",
    "stage_steps": "outer steps after which training takes one more stage",
    "decisions": "largest number of decisions of a stage that a task learns from",
    "ratio": "change of a decision's likelihood in an outer step after which the decision gains nothing more",
    "divergence": "largest change of the policies in an outer step, in nats a decision",
    "patience": "validations without a better score after which training ends",
}
"""What the fields of a recipe (`app.training.recipes.recipe`) are."""


def training_text(training: Mapping[str, Any]) -> str:
    """How a bundle was trained, in Markdown. Older bundles lack some of it."""
    if "recipe" not in training:
        return f"Its weights were trained elsewhere (`{training.get('weights', 'unknown')}`)."
    versions = ", ".join(f"{key} {value}" for key, value in training["versions"].items())
    # lists as in JSON, so that a card written again from the manifest is the same
    recipe: dict[str, Any] = {
        key: list(value) if isinstance(value, tuple) else value for key, value in training["recipe"].items()
    }
    meanings, unused = dict(MEANINGS), _unused(recipe)
    if ALGORITHMS[recipe["algorithm"]].learned_rate:
        meanings["inner_rate"] += " at the start; training learns the rates"
    recipe = {key: value for key, value in recipe.items() if value and key not in unused}
    recipe |= {key: recipe[key][0] for key in DRAWN if key in recipe and len(set(recipe[key])) == 1}
    rows = "\n".join(f"| {key} | {value} | {meanings.get(key, '')} |" for key, value in recipe.items())
    sentences = [
        f"`{training['command']}` reproduces it ({versions}, on {training['device']}): the same versions on the same "
        "kind of machine give the same weights.",
        *_cost(training),
    ]
    if reason := training.get("choice", {}).get("reason", ""):
        sentences.append(reason)
    return f"""{" ".join(sentences)}

<details><summary>The recipe</summary>

{_drawn(recipe)}| | | |
|---|---|---|
{rows}

</details>"""


def _unused(recipe: Mapping[str, Any]) -> set[str]:
    """The fields of a recipe that have no effect beside its others."""
    unused = {"variants"}
    if ALGORITHMS[recipe["algorithm"]].closed_form:
        unused |= {"inner_steps", "inner_rate", "adapt_steps"}
    if recipe.get("episodes"):
        unused |= {"shots", "ways", "queries", "inner_steps", "evaluation_shots", "evaluation_ways"}
    else:
        unused |= {"stages", "stage_steps", "decisions", "ratio", "divergence"}
    if not recipe.get("validate_every"):
        unused |= {"validation_tasks", "patience"}
    return unused


def _drawn(recipe: Mapping[str, Any]) -> str:
    """Which settings each training task draws between two numbers, as a paragraph."""
    drawn = [f"`{name}`" for name in DRAWN if isinstance(recipe.get(name), list)]
    if not drawn:
        return ""
    names = " and ".join(filter(None, [", ".join(drawn[:-1]), drawn[-1]]))
    return (
        f"Each training task draws {names} at random, from the smaller to the larger number in the table (both "
        "included).\n\n"
    )


def _cost(training: Mapping[str, Any]) -> list[str]:
    """What training cost and which of its meta-parameters the bundle has, in sentences."""
    if "cost" not in training:
        return []
    cost, best = training["cost"], training["validation"]
    used = f"Training used {cost['tasks']:,} tasks in {training['outer_steps']:,} outer steps, and took "
    used += f"{_duration(cost['seconds'])} on {_machine(training)}."
    if best is None:
        return [used]
    step = f"outer step {best['outer_step']:,}{', the last' if best['outer_step'] == training['outer_steps'] else ''}"
    return [used, f"The bundle keeps the parameters that scored best on validation tasks: those after {step}."]


def _machine(training: Mapping[str, Any]) -> str:
    """What a bundle was trained on, in words. Older bundles do not say how many threads they used: one, by default."""
    cost = training["cost"]
    machine, processes = machine_text(cost["machine"]), cost["processes"]
    if training["device"] != "cpu":
        return machine if processes == 1 else f"{processes} devices, each {machine}"
    cores = processes * cost.get("threads", 1)
    return f"{'one core' if cores == 1 else f'{cores} cores'} of {machine}"


def _duration(seconds: float) -> str:
    return count_text(round(seconds), "second") if seconds < 100 else count_text(round(seconds / 60), "minute")
