"""CARD.md: a bundle for people, as a model card of Hugging Face."""

import math
from collections.abc import Sequence
from typing import Any

from app.bundles.manifest import Manifest
from app.families.family import Description
from app.learn.algorithms import ALGORITHMS
from app.learn.policies import Actions
from app.training.evaluation_tables import Evaluation, as_text, from_json, steps_text, times_as_text, two_digits
from app.training.example import Example
from app.training.kinds import KINDS
from app.training.returns import SCORE, Returns
from app.training.tasks import Setting
from app.training.training_text import training_text
from app.training.trust_text import calibration_text, defaults_text, ood_text

UNKNOWN = Description(
    purpose="has no description: its family does not say what it is for.",
    not_for="Anything but the problem that it was trained on.",
    data="Unknown.",
    licence="unknown",
)
"""Of a family that does not describe itself, or of a bundle without one."""
PAPER_NAMES = {
    "maml": "MAML",
    "fomaml": "first-order MAML",
    "reptile": "Reptile",
    "metasgd": "Meta-SGD",
    "mamlpp": "MAML++",
    "anil": "ANIL",
    "boil": "BOIL",
    "cavia": "CAVIA",
    "protonet": "ProtoNet",
    "protomaml": "Proto-MAML",
    "foprotomaml": "first-order Proto-MAML",
    "alpaca": "ALPaCA",
}
"""What papers call the algorithms that have a name there."""


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
        f"![Held-out tasks before and after adapting]({plot})\n\n{_plot_intervals(manifest)}",
        f"## What it is not for\n\n{description.not_for}",
        _example(manifest),
        f"## How well it adapts\n\n{_evaluation(manifest)}",
        _film(manifest),
        calibration_text(manifest),
        _limits(manifest),
        ood_text(manifest),
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


def _plot_intervals(manifest: Manifest) -> str:
    """How the plot of the scores shows their intervals (`app.training.plots`)."""
    by_returns = manifest.evaluation.get("score") == SCORE
    bands = by_returns or len(from_json(manifest.kind, manifest.evaluation).steps) > 2
    shown = "bands around the lines" if bands else "black lines on the bars"
    return f"The {shown} are 95 % confidence intervals of the mean."


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
    name, summary = PAPER_NAMES.get(manifest.algorithm, ""), ALGORITHMS[manifest.algorithm].summary
    algorithm = f"`{manifest.algorithm}` ({name}{': ' if name else ''}{summary})"
    alone = "every task gets the same predictions"
    if manifest.kind == "classification":
        alone = "the model knows no classes and predicts nothing"
    return (
        f"An {row} is {what}, and a prediction is {answer}. Adapt to a support set before you predict, or in the same "
        f"request. Without a support set, {alone}. The model adapts with {algorithm}.{_features(manifest)}"
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
    remark = ""
    if manifest.kind == "regression":
        tasks = from_json(manifest.kind, manifest.evaluation).tasks
        remark = f" This is one task, and its numbers are rounded. The table below has the mean over {tasks} tasks."
    elif (actions := manifest.schema.actions) is not None and actions.is_box:
        remark = f"`predictions` are the means, limited to the range of an action ({_range(actions)})."
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

{example.truth}{remark}""".rstrip()


def _range(actions: Actions) -> str:
    """The bounds of each number of an action."""
    bounds = zip(actions.low, actions.high, strict=True)
    return ", ".join(dict.fromkeys(f"{low:g} to {high:g}" for low, high in bounds))


def _evaluation(manifest: Manifest) -> str:
    """The scores on tasks, or the returns in worlds; over HTTP too where that was measured."""
    if manifest.evaluation.get("score") == SCORE:
        return _returns(manifest)
    evaluation = from_json(manifest.kind, manifest.evaluation)
    caveat = f" {evaluation.caveat}." if evaluation.caveat else ""
    paired = (
        "All columns use the same tasks, so one can be reliably better than another although their intervals overlap."
    )
    text = f"""{evaluation.method}.

{_legend(manifest, evaluation)}{_diverged(evaluation)}

{evaluation.precision}. {paired}{caveat}

{as_text(evaluation)}"""
    if times := times_as_text(evaluation, manifest.inner_loop.steps):
        text += f"\n\n{times}"
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
    step = ' "1 step" means adapting in closed form, without gradient steps.' if algorithm.closed_form else ""
    better = "Higher" if KINDS[manifest.kind].score.more_is_better else "Lower"
    rows = [f'"{row}" means {_setting(row, manifest.kind)}.' for row in list(evaluation.curves)[:1]]
    return " ".join([f"{better} is better.{_decisions(manifest)}", *rows, f'"0 steps" {start}.{step}'])


def _decisions(manifest: Manifest) -> str:
    """What the score of a decision is, with that of an even guess."""
    actions = manifest.schema.actions
    if actions is None:
        return ""
    text = " The log-likelihood of a decision is the logarithm of the probability that the model gives to its action"
    if actions.is_box:
        return f"{text}, times the weight of the decision."
    guess = f"{-math.log(manifest.schema.targets):.2f} for an even guess"
    weight = "It is multiplied by the weight of the decision, which is 1 without rewards and propensities."
    return f"{text}: 0 at best, {guess}. {weight}"


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

A return is the sum of the rewards of an episode: higher is better. All returns are from the same
worlds.{_rivals(returns)}

{returns.as_text()}"""
    if "over_http" in manifest.evaluation:
        over_http = Returns.from_json(manifest.evaluation["over_http"])
        server = "Returns in the same worlds over HTTP. The policy draws its actions, so the returns vary within their "
        server += "intervals"
        text += f"\n\n{server}:\n\n{over_http.as_text()}"
    return text


def _rivals(returns: Returns) -> str:
    """What the other policies in the table are."""
    meanings = {"untrained": "is the network before training", "oracle": "is a policy that is told the world"}
    return "".join(f' "{name}" {meanings[name]}.' for name in returns.rivals)


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


def _limits(manifest: Manifest) -> str:
    bounds, algorithm = manifest.inner_loop, ALGORITHMS[manifest.algorithm]
    steps = f"| steps | {bounds.steps} | {bounds.max_steps} |"
    rate = f"| learning rate | {two_digits(bounds.learning_rate)} | {two_digits(bounds.max_learning_rate)} |"
    takes_rate = not algorithm.learned_rate and not algorithm.closed_form
    rows = [steps, rate] if takes_rate else [steps]
    reason = "it was learned in training" if algorithm.learned_rate else "the model adapts in closed form"
    sentences = [] if takes_rate else [f"A request cannot set a learning rate: {reason}."]
    trained = manifest.training.get("recipe", {}).get("inner_steps")
    by_returns = manifest.evaluation.get("score") == SCORE
    if not algorithm.closed_form and not by_returns and trained and bounds.max_steps > trained[-1]:
        sentences += _beyond(manifest, trained[-1])
    if manifest.calibration.has_intervals and (defaults := defaults_text(manifest)):
        sentences.append(f"Intervals need {defaults}.")
    table = "\n".join(["| | default | at most |", "|---|---|---|", *rows])
    return f"## Limits of a request\n\n{table}\n\n{' '.join(sentences)}".rstrip()


def _beyond(manifest: Manifest, trained: int) -> list[str]:
    """What happens with more steps than in training, in sentences. The bounds are from validation tasks."""
    sentences = [f"The model was trained with at most {steps_text(trained)}."]
    if ALGORITHMS[manifest.algorithm].learned_rate:
        sentences.append("Later steps use the learned rates of the last step.")
    bounds, score = manifest.inner_loop, KINDS[manifest.kind].score
    evaluation = from_json(manifest.kind, manifest.evaluation)
    usual = evaluation.steps.index(bounds.steps)
    if all(score.better(each.mean[-1], each.mean[usual]) for each in evaluation.curves.values()):
        more = steps_text(evaluation.steps[-1])
        sentences.append(f"On the test tasks, {more} scored better than the default of {bounds.steps}.")
    if bounds.max_steps > bounds.steps:
        sentences.append(f"On validation tasks, {bounds.max_steps} steps scored no worse than the default.")
    return sentences
