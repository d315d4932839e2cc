"""CARD.md: a bundle for people."""

from collections.abc import Mapping
from typing import Any

from app.bundles import Manifest
from app.learn.calibration import FALSE_ALARM_RATE, Calibration
from app.learn.ood import ERROR_QUANTILE, MAX_FAR_SHARE, OODReference
from app.training.evaluation_tables import as_text, calibration_as_text, from_json
from app.training.returns import SCORE, Returns


def card(name: str, manifest: Manifest, plot: str) -> str:
    """The card of a bundle that is scored on tasks. plot: the name of the file with its plots."""
    evaluation = from_json(manifest.kind, manifest.evaluation)
    bounds, schema, family = manifest.inner_loop, manifest.schema, manifest.family
    problem = "a problem of its own" if family is None else f"the family `{family.name}`"
    return f"""# {name}

An initialization for {problem}, adapted by `{manifest.algorithm}`. An input has {schema.features} feature(s), a target
{schema.targets} number(s).

![Held-out tasks before and after adapting]({plot})

## How well it adapts

{evaluation.protocol}. Asked {evaluation.way}, at a rate of {bounds.learning_rate:g}. A task on which the inner loop
diverges counts with the answers of the initialization.

{as_text(evaluation)}
{over_http_text(manifest)}{film_text(manifest)}
## How far it can be trusted

{calibration_text(manifest.calibration)}

On the same held-out tasks, after {bounds.steps} step(s), with the time to adapt to a task and answer its queries in a
batch on {evaluation.machine or "an unknown machine"}:

{calibration_as_text(evaluation)}

## What a request may ask

| | default | up to |
|---|---|---|
| steps | {bounds.steps} | {bounds.max_steps} |
| learning_rate | {bounds.learning_rate:g} | {bounds.max_learning_rate:g} |

The most steps are the largest number tried that scores no worse than the default; the largest rate is the last, raised
by a quarter at a time, at which the default number of steps still helps.

## What a support set is held against

{ood_text(manifest.ood_reference)}

## How it was made

{training_text(manifest.training)}
"""


def policy_card(name: str, manifest: Manifest, plot: str) -> str:
    """The card of a bundle that is evaluated by returns. plot: the name of the file with its plots."""
    returns, bounds, schema = Returns.from_json(manifest.evaluation), manifest.inner_loop, manifest.schema
    family = "worlds of its own" if manifest.family is None else f"the worlds of the family `{manifest.family.name}`"
    return f"""# {name}

A policy for {family}, adapted by `{manifest.algorithm}`. An observation has {schema.features} feature(s), an action
{schema.targets} column(s).

![A held-out world before and after adapting]({plot})

## How well it adapts

{returns.protocol}. Asked {returns.way}. A stage is a set of episodes that is posted: {bounds.steps} step(s) from
where the stage before led to.

{returns.as_text()}
{over_http_text(manifest)}
## How it was made

{training_text(manifest.training)}
"""


def over_http_text(manifest: Manifest) -> str:
    """The evaluation over HTTP, if there was one."""
    if "over_http" not in manifest.evaluation:
        return ""
    content = manifest.evaluation["over_http"]
    if content["score"] == SCORE:
        returns = Returns.from_json(content)
        return f"\nThe same worlds, asked {returns.way}:\n\n{returns.as_text()}\n"
    evaluation = from_json(manifest.kind, content)
    return f"\nThe same tasks, asked {evaluation.way}:\n\n{as_text(evaluation)}\n"


def film_text(manifest: Manifest) -> str:
    """A filmed episode before and after adapting, with its result and its pictures, if there is a film."""
    if "film" not in manifest.evaluation:
        return ""
    film = manifest.evaluation["film"]
    return f"""
## A held-out world before and after adapting

Left and above is the initialization, right and below what it is after {film["shots"]} episodes of somebody who is at
home there, in the same traffic ({film["world"]}):

{film["text"]}

![The same episode, before adapting and after]({film["strip"]})

![The same, moving]({film["animation"]})
"""


def calibration_text(calibration: Calibration) -> str:
    """The calibration for people, in Markdown."""
    if calibration.has_intervals:
        return f"""`"interval": 0.9` in `/predict` gives an interval that holds the true value nine times of ten,
by the errors on {calibration.tasks:,} validation tasks of each size (seed {calibration.seed}; split conformal
prediction, by size)."""
    if calibration.has_familiarity:
        return f"""Probabilities are those of logits divided by {calibration.temperature:.3g}, under which the
classes of {calibration.tasks} validation tasks of each size (seed {calibration.seed}) are the most probable. A query is
called unlike anything in the support set where its largest logit is below what {1 - FALSE_ALARM_RATE:.0%} of queries of
known classes reach."""
    return "Nothing is known."


def training_text(training: Mapping[str, Any]) -> str:
    """How a bundle was trained, in Markdown. Older bundles lack some of it."""
    if "recipe" not in training:
        return f"Its weights were trained elsewhere (`{training.get('weights', 'unknown')}`)."
    versions = ", ".join(f"{key} {value}" for key, value in training["versions"].items())
    # lists as in JSON, so that a card written again from the manifest is the same
    recipe = {key: list(value) if isinstance(value, tuple) else value for key, value in training["recipe"].items()}
    rows = "\n".join(f"| {key} | {value} |" for key, value in recipe.items())
    return f"""`{training["command"]}` makes it again ({versions}, on {training["device"]}; the same versions on the
same kind of machine give the same weights). {cost_text(training)}{training.get("choice", {}).get("reason", "")}

The recipe:

| | |
|---|---|
{rows}"""


def cost_text(training: Mapping[str, Any]) -> str:
    """What training cost and which of its meta-parameters the bundle has, in sentences."""
    if "cost" not in training:
        return ""
    cost, best = training["cost"], training["validation"]
    count = "one process" if cost["processes"] == 1 else f"{cost['processes']} processes"
    which = "the last" if best is None else "those of the best score on validation tasks"
    step = training["outer_steps"] if best is None else best["outer_step"]
    return (
        f"It took {cost['seconds']:,.0f} s in {count} on {cost['machine']} and {cost['tasks']:,} tasks. "
        f"The meta-parameters are {which}, after {step:,} of {training['outer_steps']:,} outer steps. "
    )


def ood_text(reference: OODReference) -> str:
    """The OOD reference for people, in Markdown."""
    if not reference.tasks:
        return "Nothing is known of support sets of training."
    errors = zip(reference.support_sizes, reference.error_limits, strict=True)
    rows = "\n".join(f"| {others} | {error:.3g} |" for others, error in errors)
    return f"""Assessing (`"assess": "leave_one_out"`) calls a support set unlike training where more than
{MAX_FAR_SHARE:.0%} of its inputs lie beyond all inputs of training, or where its mean error on examples left out is
over the one that {ERROR_QUANTILE:.0%} of training tasks stay below ({reference.tasks} tasks of each size, seed
{reference.seed}; where the inner loop diverged without an example, its error counts as infinite):

| adapted to so many others | error |
|---|---|
{rows}"""
