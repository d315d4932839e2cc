"""CARD.md: a bundle for people, as a model card of Hugging Face."""

from collections.abc import Mapping, Sequence
from typing import Any

from app.bundles import Manifest
from app.families.family import Description
from app.learn.algorithms import ALGORITHMS
from app.learn.calibration import FALSE_ALARM_RATE, Calibration
from app.learn.ood import ERROR_QUANTILE, MAX_FAR_SHARE, OODReference
from app.training.evaluation_tables import as_text, calibration_as_text, from_json, two_digits
from app.training.example import Example
from app.training.kinds import KINDS
from app.training.returns import SCORE, Returns

UNKNOWN = Description(
    purpose="Its author has not said what it is for.",
    not_for="Anything but the problem that it was trained on.",
    data="Unknown.",
    licence="unknown",
)
"""Of a family that does not describe itself, or of a bundle without one."""
NO_LIMIT = 1e6
"""An error limit above this flags nothing: adapting to so few examples may diverge in training too."""


def card(name: str, manifest: Manifest, description: Description | None, plot: str) -> str:
    """The card of a bundle.

    description: of its family, if the family describes itself
    plot: the name of the file with its plots
    """
    description = description or UNKNOWN
    sections = [
        _front_matter(manifest, description),
        f"# {name}",
        description.purpose,
        _summary(manifest),
        f"![Held-out tasks before and after adapting]({plot})",
        f"## What it is not for\n\n{description.not_for}",
        _example(manifest),
        f"## How well it adapts\n\n{_evaluation(manifest)}",
        _film(manifest),
        _trust(manifest),
        _limits(manifest),
        _ood(manifest.ood_reference),
        f"## Training data\n\n{description.data} Licence: {description.licence}.",
        f"## How it was made\n\n{training_text(manifest.training)}",
    ]
    return "\n\n".join(section for section in sections if section) + "\n"


def _front_matter(manifest: Manifest, description: Description) -> str:
    tags = ["meta-learning", "few-shot-learning", manifest.algorithm, manifest.kind]
    return "\n".join(
        [
            "---",
            f"license: {description.licence}",
            "library_name: innerloop-server",
            f"pipeline_tag: {_pipeline(manifest)}",
            "tags:",
            *(f"- {tag}" for tag in tags),
            "---",
        ]
    )


def _pipeline(manifest: Manifest) -> str:
    """The task by Hugging Face's names."""
    if manifest.schema.image:
        return "image-classification"
    return KINDS[manifest.kind].pipeline


def _summary(manifest: Manifest) -> str:
    """The form of an input and of an answer, and what adapts."""
    schema = manifest.schema
    what = f"an image of {_shape(schema.shape)} pixels" if schema.image else _count(schema.features, "number")
    answer = {
        "regression": _count(schema.targets, "number"),
        "classification": "a label",
        "decision": f"one of {schema.targets} actions",
    }[manifest.kind]
    if schema.actions is not None and schema.actions.is_box:
        answer = f"an action of {_count(schema.targets, 'number')}"
    row = "observation" if manifest.kind == "decision" else "input"
    algorithm = f"`{manifest.algorithm}` ({ALGORITHMS[manifest.algorithm].summary})"
    return (
        f"An {row} is {what}, an answer is {answer}. The bundle is an *initialization*: adapt it to a support set "
        f"first. It adapts by {algorithm}."
    )


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"


def _shape(shape: Sequence[int]) -> str:
    return " x ".join(map(str, shape))


def _example(manifest: Manifest) -> str:
    """A request with its answer."""
    example = Example.from_json(manifest.evaluation)
    if example is None:
        return ""
    return f"""## Example

A held-out task. `POST /predict` with a support set adapts and answers in one call, and keeps nothing:

```json
{example.request}
```

answers, rounded:

```json
{example.answer}
```

{example.truth}""".rstrip()


def _evaluation(manifest: Manifest) -> str:
    """The scores on tasks, or the returns in worlds; over HTTP too where that was measured."""
    if manifest.evaluation.get("score") == SCORE:
        return _returns(manifest)
    evaluation = from_json(manifest.kind, manifest.evaluation)
    text = f"""{evaluation.protocol}. "0 steps" is the initialization before adapting. A task on which the inner loop
diverges counts with the answers of the initialization.

{as_text(evaluation)}"""
    if "over_http" in manifest.evaluation:
        text += f"\n\nThe same tasks, measured over HTTP:\n\n{as_text(_over_http(manifest))}"
    return text


def _over_http(manifest: Manifest) -> Any:
    return from_json(manifest.kind, manifest.evaluation["over_http"])


def _returns(manifest: Manifest) -> str:
    returns = Returns.from_json(manifest.evaluation)
    steps = _count(manifest.inner_loop.steps, "step")
    text = f"""{returns.protocol}. A stage is a set of episodes that is posted: {steps} from the weights after the stage
before.

{returns.as_text()}"""
    if "over_http" in manifest.evaluation:
        over_http = Returns.from_json(manifest.evaluation["over_http"])
        text += f"\n\nThe same worlds, measured over HTTP:\n\n{over_http.as_text()}"
    return text


def _film(manifest: Manifest) -> str:
    """A filmed episode before and after adapting, with its result and its pictures, if there is a film."""
    if "film" not in manifest.evaluation:
        return ""
    film = manifest.evaluation["film"]
    return f"""## A held-out world before and after adapting

The initialization is on the left and above. On the right and below is the policy after {film["shots"]} episodes of a
driver who knows this world, in the same traffic ({film["world"]}):

{film["text"]}

![The same episode, before adapting and after]({film["strip"]})

![The same, moving]({film["animation"]})"""


def _trust(manifest: Manifest) -> str:
    """What the calibration promises, and how well it holds on test tasks."""
    calibration = manifest.calibration
    if not calibration.has_intervals and not calibration.has_familiarity:
        return ""
    evaluation = from_json(manifest.kind, manifest.evaluation)
    title = "Intervals" if calibration.has_intervals else "Probabilities"
    return f"""## {title}

{_calibration(calibration)}

On the held-out tasks, after {_count(manifest.inner_loop.steps, "step")}; times are those of a task in a batch on
{evaluation.machine or "an unknown machine"}:

{calibration_as_text(evaluation)}"""


def _calibration(calibration: Calibration) -> str:
    if calibration.has_intervals:
        return f"""`"interval": 0.9` in `/predict` adds `lower` and `upper`, which hold 90 % of the true values over
many tasks like those of training. Their widths come from {calibration.tasks:,} validation tasks of each support size
(split conformal prediction)."""
    return f"""`probabilities` are calibrated on {calibration.tasks} validation tasks of each support size (temperature
{calibration.temperature:.2f}). `unlike` marks a query that looks like no class of the support set; it marks
{FALSE_ALARM_RATE:.0%} of the queries of known classes by design."""


def _limits(manifest: Manifest) -> str:
    bounds, algorithm = manifest.inner_loop, ALGORITHMS[manifest.algorithm]
    steps = f"| steps | {bounds.steps} | {bounds.max_steps} |"
    rate = f"| learning rate | {two_digits(bounds.learning_rate)} | {two_digits(bounds.max_learning_rate)} |"
    takes_rate = not algorithm.learned_rate and not algorithm.closed_form
    rows = [steps, rate] if takes_rate else [steps]
    more = "" if takes_rate else "\n\nThe learning rate cannot be chosen: the algorithm learns it or needs none."
    table = "\n".join(["| | default | at most |", "|---|---|---|", *rows])
    return f"## Limits of a request\n\n{table}{more}"


def _ood(reference: OODReference) -> str:
    """When a support set counts as unlike training."""
    if not reference.tasks:
        return ""
    limits = zip(reference.support_sizes, reference.error_limits, strict=True)
    rows = "\n".join(
        f"| {others} | {'no limit' if error > NO_LIMIT else two_digits(error)} |" for others, error in limits
    )
    return f"""## When a support set is unlike training

`"assess": "leave_one_out"` in `/adapt` predicts each example from the others. It says `unlike_training` where more than
{MAX_FAR_SHARE:.0%} of the inputs lie outside of all inputs of training, or where the mean error of these predictions is
above the limit, which {ERROR_QUANTILE:.0%} of {reference.tasks} training tasks of that size stay below:

| other examples | limit of the error |
|---|---|
{rows}"""


def training_text(training: Mapping[str, Any]) -> str:
    """How a bundle was trained, in Markdown. Older bundles lack some of it."""
    if "recipe" not in training:
        return f"Its weights were trained elsewhere (`{training.get('weights', 'unknown')}`)."
    versions = ", ".join(f"{key} {value}" for key, value in training["versions"].items())
    # lists as in JSON, so that a card written again from the manifest is the same
    recipe = {key: list(value) if isinstance(value, tuple) else value for key, value in training["recipe"].items()}
    rows = "\n".join(f"| {key} | {value} |" for key, value in recipe.items())
    sentences = [
        f"`{training['command']}` makes it again ({versions}, on {training['device']}). The same versions on the same "
        "kind of machine give the same weights.",
        *_cost(training),
    ]
    if reason := training.get("choice", {}).get("reason", ""):
        sentences.append(reason)
    return f"""{" ".join(sentences)}

<details><summary>The recipe</summary>

| | |
|---|---|
{rows}

</details>"""


def _cost(training: Mapping[str, Any]) -> list[str]:
    """What training cost and which of its meta-parameters the bundle has, in sentences."""
    if "cost" not in training:
        return []
    cost, best = training["cost"], training["validation"]
    count = "one process" if cost["processes"] == 1 else f"{cost['processes']} processes"
    which = "the last" if best is None else "those with the best score on validation tasks"
    step = training["outer_steps"] if best is None else best["outer_step"]
    return [
        f"Training took {cost['seconds']:,.0f} s in {count} on {cost['machine']}, and {cost['tasks']:,} tasks.",
        f"The meta-parameters are {which}, after {step:,} of {training['outer_steps']:,} outer steps.",
    ]
