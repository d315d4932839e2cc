"""The part of a bundle's card that says how well it adapts: its scores on held-out tasks, or its returns in worlds."""

import math
from typing import Any

from app.bundles.manifest import Manifest
from app.learn.algorithms import ALGORITHMS
from app.training.evaluation_tables import Evaluation, as_text, from_json, percent, steps_text, times_as_text
from app.training.prediction_kinds import KINDS
from app.training.returns import SCORE, Returns
from app.training.tasks import Setting

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
    "protoanil": "Proto-MAML on the last layer alone",
    "alpaca": "ALPaCA",
}
"""What papers call the algorithms that have a name there."""


def scores_text(manifest: Manifest, *, weighted: bool) -> str:
    """The scores on tasks, or the returns in worlds; over HTTP too where that was measured."""
    if manifest.evaluation.get("score") == SCORE:
        return _returns(manifest)
    evaluation = from_json(manifest.kind, manifest.evaluation)
    caveat = f" {evaluation.caveat}." if evaluation.caveat else ""
    paired = (
        "All columns use the same tasks, so a difference between two columns can be significant even if their "
        "intervals overlap."
    )
    initial = not _is_guess(manifest)
    if initial:
        caveat = f" {paired}{caveat}"
    method = evaluation.method
    if manifest.kind == "decision" and not weighted:
        method = f"Log-likelihood of the actions that were taken: {evaluation.mean_over}"
    text = f"""{method}.

{_legend(manifest, evaluation, weighted)}{_diverged(evaluation)}

{evaluation.precision}.{caveat}

{as_text(evaluation, initial=initial)}"""
    paragraphs = [text, *_remarks(manifest, evaluation)]
    if times := times_as_text(evaluation, manifest.inner_loop.steps, manifest.schema.features):
        paragraphs.append(times)
    if "over_http" in manifest.evaluation:
        paragraphs.append(_same_over_http(evaluation, _over_http(manifest), initial=initial))
    return "\n\n".join(paragraphs)


def _is_guess(manifest: Manifest) -> bool:
    """Whether the answers before adapting are guesses, so that their score says nothing."""
    return manifest.kind == "classification" and ALGORITHMS[manifest.algorithm].closed_form


def _legend(manifest: Manifest, evaluation: Evaluation, weighted: bool) -> str:
    """What rows and columns of the scores mean, in a few sentences."""
    algorithm = ALGORITHMS[manifest.algorithm]
    start = "is before adapting"
    if algorithm.prototype_head:
        start = "uses the mean of the network's outputs (the embeddings) for each class, without gradient steps"
    elif manifest.kind == "classification":
        start = "is a guess, before adapting"
    better = "Higher" if KINDS[manifest.kind].score.more_is_better else "Lower"
    rows = [f'"{row}" means {_setting(row, manifest.kind)}.' for row in list(evaluation.curves)[:1]]
    sentences = [f"{better} is better.{_decisions(manifest, weighted)}", *rows]
    sentences.append(_guessing(evaluation) if _is_guess(manifest) else f'"0 steps" {start}.')
    if algorithm.closed_form:
        sentences.append(
            'This model adapts by a formula (in closed form), without gradient steps. The table calls that "1 step".'
        )
    return " ".join(sentences)


def _guessing(evaluation: Evaluation) -> str:
    """The accuracy of a guess, in a sentence."""
    ways = dict.fromkeys(setting.ways for setting in evaluation.curves if setting.ways)
    return f"Guessing gets {' and '.join(f'{percent(1 / each)} with {each} classes' for each in ways)}."


def _decisions(manifest: Manifest, weighted: bool) -> str:
    """What the score of a decision is, with that of an even guess."""
    actions = manifest.schema.actions
    if actions is None:
        return ""
    text = " The log-likelihood of a decision is the logarithm of the probability that the model gives to its action"
    weight = " It is multiplied by the weight of the decision." if weighted else ""
    if actions.is_box:
        return f"{text}.{weight}"
    return f"{text}: 0 at best, {_even_guess(manifest):.2f} for an even guess.{weight}"


def _even_guess(manifest: Manifest) -> float:
    """The log-likelihood of a decision, in nats, if all actions are equally probable."""
    return -math.log(manifest.schema.targets)


def _remarks(manifest: Manifest, evaluation: Evaluation) -> list[str]:
    """What the scores show that a reader may miss, in sentences."""
    algorithm, score, usual = ALGORITHMS[manifest.algorithm], KINDS[manifest.kind].score, manifest.inner_loop.steps
    curves = evaluation.curves.values()
    if algorithm.prototype_head and usual in evaluation.steps[1:]:
        default = evaluation.steps.index(usual)
        if not any(score.better(each.mean[default] - each.half_width[default], each.mean[0]) for each in curves):
            name = PAPER_NAMES.get(manifest.algorithm, manifest.algorithm)
            return [
                f"On these tasks, {steps_text(usual)} score no better than 0 steps: the mean embeddings alone are as "
                f"good. Use this bundle to try {name}."
            ]
    actions = manifest.schema.actions
    if actions is not None and not actions.is_box and all(each.mean[0] < _even_guess(manifest) for each in curves):
        return ["Before adapting, the policy is confident in wrong actions, so it scores worse than guessing."]
    return []


def _same_over_http(offline: Evaluation, over_http: Evaluation, *, initial: bool) -> str:
    """The scores over HTTP: a sentence if they are the same, otherwise a table."""
    rows = as_text(over_http, initial=initial)
    if over_http.mean_over != offline.mean_over:
        return f"Scores over HTTP, {over_http.mean_over}:\n\n{rows}"
    if over_http.steps == offline.steps and set(rows.splitlines()) <= set(
        as_text(offline, initial=initial).splitlines()
    ):
        some = len(over_http.curves) < len(offline.curves)
        measured = f", measured for {', '.join(map(str, over_http.curves))}" if some else ""
        return f"A server gives the same scores over HTTP{measured}."
    return f"Scores of the same tasks over HTTP:\n\n{rows}"


def _setting(setting: Setting, kind: str) -> str:
    """A setting in words."""
    shots = count_text(setting.shots, "decision" if kind == "decision" else "support example")
    return shots if setting.ways is None else f"{setting.ways} classes with {shots} of each"


def _diverged(evaluation: Evaluation) -> str:
    """How many tasks the server would refuse at some number of steps, if any."""
    shares = [share for curve in evaluation.curves.values() for share in curve.refused]
    if not any(shares):
        return ""
    return (
        f" If the inner loop diverges on a task, the server answers 422, and the predictions after 0 steps count: this "
        f"happens on at most {percent(max(shares), 1)} of the tasks."
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
        same = "Returns in the same worlds over HTTP. The policy draws its actions"
        server = same if over_http.trial == returns.trial else f"Returns over HTTP. {over_http.protocol}"
        text += f"\n\n{server}, so the returns vary within their intervals:\n\n{over_http.as_text()}"
    return text


def _rivals(returns: Returns) -> str:
    """What the other policies in the table are."""
    meanings = {
        "untrained": "is the network before training",
        "oracle": "is a policy that knows what is hidden in each world",
    }
    return "".join(f' "{name}" {meanings[name]}.' for name in returns.rivals)


def count_text(number: int, noun: str) -> str:
    """A number with its noun, in the plural unless it is 1."""
    return f"{number} {noun}{'' if number == 1 else 's'}"
