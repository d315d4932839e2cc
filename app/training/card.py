"""CARD.md: a bundle for people, as a model card of Hugging Face."""

from collections.abc import Mapping, Sequence
from statistics import fmean
from typing import Any

from app.bundles import Manifest
from app.families.family import Description
from app.learn.algorithms import ALGORITHMS
from app.learn.calibration import FALSE_ALARM_RATE, Calibration
from app.learn.support_ood import ERROR_QUANTILE, MAX_FAR_SHARE
from app.training.evaluation_tables import Evaluation, as_text, calibration_as_text, from_json, steps_text, two_digits
from app.training.example import Example
from app.training.kinds import KINDS
from app.training.returns import SCORE, Returns
from app.training.tasks import Setting

UNKNOWN = Description(
    purpose="has no description: its family does not say what it is for.",
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
        f"`{name}` {description.purpose}",
        _summary(manifest),
        f"![Held-out tasks before and after adapting]({plot})",
        f"## What it is not for\n\n{description.not_for}",
        _example(manifest),
        f"## How well it adapts\n\n{_evaluation(manifest)}",
        _film(manifest),
        _trust(manifest),
        _limits(manifest),
        _ood(manifest),
        f"## Training data\n\n{description.data} Licence of the bundle: {description.licence.upper()}.",
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
    what = _count(schema.features, "number")
    if schema.image:
        what = f"a PNG of any size, which is scaled to {_shape(schema.shape)} pixels of gray"
    answer = {
        "regression": _count(schema.targets, "number"),
        "classification": "a label",
        "decision": f"one of {schema.targets} actions",
    }[manifest.kind]
    if schema.actions is not None and schema.actions.is_box:
        answer = f"an action of {_count(schema.targets, 'number')}"
    row = "observation" if manifest.kind == "decision" else "input"
    algorithm = f"`{manifest.algorithm}` ({ALGORITHMS[manifest.algorithm].summary})"
    same = "predicts the same for every task"
    alone = {"regression": same, "classification": "knows no classes, and predicts nothing", "decision": same}
    return (
        f"An {row} is {what}, and a prediction is {answer}. Adapt to a support set before you predict, or in the same "
        f"request: without one the model {alone[manifest.kind]}. It adapts with {algorithm}.{_features(manifest)}"
        f"{targets_text(manifest)}"
    )


def targets_text(manifest: Manifest) -> str:
    """The names and units of the numbers of a target, if the bundle has them."""
    spec = manifest.targets
    if spec is None or not (spec.names or spec.units):
        return ""
    columns = [
        f"`{column['name'] or index}`"
        + (f" in {column['unit']}" if column["unit"] else "")
        + (f", {column['min']:.4g} to {column['max']:.4g} in training" if "min" in column else "")
        for index, column in enumerate(spec.describe(manifest.schema.targets))
    ]
    return (
        f" A target is {'; '.join(columns)}. Predictions, intervals and errors are in the same unit, squared errors in "
        "its square."
    )


def _features(manifest: Manifest) -> str:
    """How a network with features for outputs predicts numbers."""
    outputs = manifest.network.options.get("outputs")
    if not ALGORITHMS[manifest.algorithm].closed_form or manifest.kind != "regression" or outputs is None:
        return ""
    return (
        f" The network turns an input into {outputs} features (`outputs` in the recipe). A prediction is a weighted "
        "sum of the features, and adapting computes the weights in closed form."
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
    rounded = (
        " All numbers are rounded, so the errors may differ from those below." if manifest.kind == "regression" else ""
    )
    return f"""## Example

This task was not used in training. `POST /predict` with a support set adapts and predicts in one call, and stores
nothing. `POST /adapt` takes the same `model` and `support`, and stores an adaptation.

```json
{example.request}
```

From the response, rounded:

```json
{example.answer}
```

{example.truth}{rounded}""".rstrip()


def _evaluation(manifest: Manifest) -> str:
    """The scores on tasks, or the returns in worlds; over HTTP too where that was measured."""
    if manifest.evaluation.get("score") == SCORE:
        return _returns(manifest)
    evaluation = from_json(manifest.kind, manifest.evaluation)
    text = f"""{evaluation.protocol}.

{_legend(manifest, evaluation)}{_diverged(evaluation)}

{as_text(evaluation)}"""
    if "over_http" in manifest.evaluation:
        server = "Scores of the same tasks over HTTP"
        text += f"\n\n{server}:\n\n{as_text(_over_http(manifest))}"
    return text


def _legend(manifest: Manifest, evaluation: Evaluation) -> str:
    """What rows and columns of the scores mean, in a few sentences."""
    algorithm = ALGORITHMS[manifest.algorithm]
    start = "is before adapting"
    if algorithm.prototype_head:
        start = "uses the mean embedding of each class, without gradient steps"
    elif manifest.kind == "classification":
        start = "is a guess, before adapting"
    step = '; "1 step" means adapting in closed form, without gradient steps' if algorithm.closed_form else ""
    better = "Higher" if KINDS[manifest.kind].score.more_is_better else "Lower"
    rows = [f'"{row}" means {_setting(row, manifest.kind)}.' for row in list(evaluation.curves)[:1]]
    return " ".join([f"{better} is better.", *rows, f'"0 steps" {start}{step}.'])


def _setting(setting: Setting, kind: str) -> str:
    """A setting in words."""
    shots = _count(setting.shots, "decision" if kind == "decision" else "support example")
    return shots if setting.ways is None else f"{setting.ways} classes with {shots} of each"


def _diverged(evaluation: Evaluation) -> str:
    """How many tasks the server would refuse at some number of steps, if any."""
    shares = [share for curve in evaluation.curves.values() for share in curve.refused]
    if not any(shares):
        return ""
    return (
        f" If the inner loop diverges on a task, the server answers 422, and the predictions after 0 steps count: this "
        f"happens on at most {max(shares):.1%} of the tasks."
    )


def _over_http(manifest: Manifest) -> Any:
    return from_json(manifest.kind, manifest.evaluation["over_http"])


def _returns(manifest: Manifest) -> str:
    returns = Returns.from_json(manifest.evaluation)
    steps = steps_text(manifest.inner_loop.steps)
    text = f"""{returns.protocol}. A stage is one posted set of episodes. Each stage takes {steps}, from the weights
after the previous stage.

{returns.as_text()}"""
    if "over_http" in manifest.evaluation:
        over_http = Returns.from_json(manifest.evaluation["over_http"])
        server = "Returns in the same worlds over HTTP. The policy draws its actions, so the returns vary within their "
        server += "intervals"
        text += f"\n\n{server}:\n\n{over_http.as_text()}"
    return text


def _film(manifest: Manifest) -> str:
    """A filmed episode before and after adapting, with its result and its pictures, if there is a film."""
    if "film" not in manifest.evaluation:
        return ""
    film = manifest.evaluation["film"]
    return f"""## A held-out world before and after adapting

The bundle drives before and after it adapts to {film["shots"]} episodes of a driver who knows this world, in the same
traffic. In the pictures, "before" is on the left, and "after" on the right. In the animation, "before" is above. The
road is {film["world"]}.

{film["text"]}

![An episode before and after adapting]({film["strip"]})

![The same episodes as an animation]({film["animation"]})"""


def _trust(manifest: Manifest) -> str:
    """What the calibration promises, and how well it holds on test tasks."""
    calibration = manifest.calibration
    if not calibration.has_intervals and not calibration.has_familiarity:
        return ""
    evaluation = from_json(manifest.kind, manifest.evaluation)
    title = "Intervals" if calibration.has_intervals else "Probabilities"
    return f"""## {title}

{_calibration(calibration)}

The table has results on the test tasks after {steps_text(manifest.inner_loop.steps)}. The time is for adapting to a
task and predicting all its queries, in a batch of tasks on one thread of {evaluation.machine or "an unknown machine"};
a single request takes longer:

{calibration_as_text(evaluation)}"""


def _calibration(calibration: Calibration) -> str:
    if calibration.has_intervals:
        return f"""`"interval": 0.9` in `/predict` adds `lower` and `upper`. Over many tasks like those of
training, 90 % of the true values lie between them; in a single task the share can be higher or lower. The widths depend
on the number of support examples alone: they were measured on {calibration.tasks:,} tasks of the validation split with
each of {", ".join(map(str, calibration.shots))} examples (by split conformal prediction). Between two sizes they are
interpolated, and above {calibration.shots[-1]} examples the width for {calibration.shots[-1]} applies."""
    return f"""The response has `probabilities`, calibrated on {calibration.tasks} validation tasks of each support size
(the outputs of the network are divided by {calibration.temperature:.2f} first). It also has `unlike`, which marks a
query that looks like no class of the support set; such a query gets a label all the same. On the validation tasks
{FALSE_ALARM_RATE:.0%} of the queries of known classes were marked. In the table lower is better, except in the
column on other classes. Those queries come from a class that has no example in the support set."""


def _limits(manifest: Manifest) -> str:
    bounds, algorithm = manifest.inner_loop, ALGORITHMS[manifest.algorithm]
    steps = f"| steps | {bounds.steps} | {bounds.max_steps} |"
    rate = f"| learning rate | {two_digits(bounds.learning_rate)} | {two_digits(bounds.max_learning_rate)} |"
    takes_rate = not algorithm.learned_rate and not algorithm.closed_form
    rows = [steps, rate] if takes_rate else [steps]
    reason = "it was learned in training" if algorithm.learned_rate else "the model adapts in closed form"
    more = "" if takes_rate else f"\n\nA request cannot set a learning rate: {reason}."
    trained = manifest.training.get("recipe", {}).get("inner_steps")
    if not algorithm.closed_form and trained and bounds.max_steps > trained[-1]:
        more += ("" if more else "\n") + _beyond(manifest, trained[-1])
    table = "\n".join(["| | default | at most |", "|---|---|---|", *rows])
    return f"## Limits of a request\n\n{table}{more}"


def _beyond(manifest: Manifest, trained: int) -> str:
    """What happens with more steps than in training."""
    learned_rate = ALGORITHMS[manifest.algorithm].learned_rate
    by_returns = manifest.evaluation.get("score") == SCORE
    scored = 0 if by_returns else max(from_json(manifest.kind, manifest.evaluation).steps)
    lead = " " if learned_rate else "\n"
    lead += f"The model was trained with at most {steps_text(trained)}. "
    if scored <= trained:
        return f"{lead}Results with more steps were not measured."
    rates = ", which use the learned rates of the last step," if learned_rate else ""
    return f"{lead}More steps{rates} can make the score better or worse: compare the scores above."


def _ood(manifest: Manifest) -> str:
    """When a support set counts as unlike training."""
    reference, scale = manifest.ood_reference, manifest.target_scale
    if not reference.tasks:
        return ""
    # of standardised targets, as other errors have units
    none = NO_LIMIT if scale is None else NO_LIMIT * fmean(std * std for std in scale.std)
    limits = zip(reference.support_sizes, reference.error_limits, strict=True)
    rows = "\n".join(
        f"| {others + 1} | {'no limit' if error > none else two_digits(error)} |" for others, error in limits
    )
    return f"""## When a support set is unlike training

With `"assess": "leave_one_out"` in `/adapt` the server predicts each support example from the others. It reports
`unlike_training` if more than {MAX_FAR_SHARE:.0%} of the support inputs lie outside the range of the training inputs,
or if the mean squared error of these predictions is above the limit. Queries are not checked. Of {reference.tasks}
tasks like those of training, for each number of support examples, {ERROR_QUANTILE:.0%} stayed below the limit, so about
{1 - ERROR_QUANTILE:.0%} of ordinary support sets are reported too. A support set that is not reported may still be
unlike training, above all if it is small: the first limits are high. For a number of examples between two rows, the
limit of the row above applies; for more than the last, that of the last row:

| support examples | limit of the mean squared error |
|---|---|
{rows}"""


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
