"""POST /propose, and what it returns."""

from collections.abc import Mapping, Set
from dataclasses import dataclass
from math import isfinite
from typing import Any, Literal

from innerloop_client.arrays import is_a
from innerloop_client.descriptions import check_expected, reading
from innerloop_client.errors import shown
from innerloop_client.field_types import check_types
from innerloop_client.inputs import count_inputs, read_inputs, repeatable
from innerloop_client.model_versions import Described, Version, for_version
from innerloop_client.output_forms import LABELS, REALS, scalars
from innerloop_client.session import Call, Session
from innerloop_client.support_set import Examples

Goal = Literal["learn", "maximize", "minimize"]


@dataclass(frozen=True)
class Proposal:
    """A candidate to measure or label next.

    index: which of the candidates: its label in the index of a DataFrame or Series, otherwise its position
    position: which of the candidates, counted from 0
    score: how much it is worth, as if the proposals before it had been measured; larger is better
    prediction: what `predict` predicts for it: a number, a list of numbers if there are several targets, or a label
    std: the standard deviation of the prediction, in the form of `prediction`; None for labels
    nearest_example: the number of the nearest example (see `Adaptation.examples`); None if there is none
    unlike: whether the prediction is a guess; None if the model has nothing to compare candidates with
    cut: whether the candidate is longer than a model of texts reads; it read its beginning
    cut_examples: the numbers of the examples that are too long, if they came with the candidates: the same in each
        proposal
    """

    index: Any
    position: int
    score: float
    prediction: Any
    std: Any = None
    nearest_example: int | None = None
    unlike: bool | None = None
    cut: bool = False
    cut_examples: list[int] | None = None


async def propose(
    session: Session,
    model: str,
    candidates: Any,
    fields: Mapping[str, Any],
    examples: Examples | None = None,
    version: Version | None = None,
) -> list[Proposal]:
    """Propose candidates.

    fields: the body besides the candidates and the examples; those that are None are left out
    version: as for `for_version`
    """
    candidates = repeatable(candidates)
    content = {name: value for name, value in fields.items() if value is not None}

    async def request(models: Described) -> Any:
        if examples is not None and (support := await examples.read(models, model)):
            content["support"] = support
        content["candidates"] = await read_inputs(models, model, candidates, "candidates")
        return (await session.send(Call.of_body("/propose", content | models.condition))).body

    body = await for_version(session, request, version)
    with reading("proposals"):
        check_expected(body, {"model": model})
        if "adaptation_id" in content:
            check_expected(body, {"adaptation_id": content["adaptation_id"]})
        cut = set(scalars(body.get("cut_candidates", []), frozenset({int})))
        beside = {"cut_examples": body.get("cut_examples")}
        proposals = [_read(each | beside, cut) for each in scalars(body["proposals"], frozenset({dict}))]
        _check(proposals, content["count"], count_inputs(content["candidates"]))
    if is_a(candidates, "pandas", "DataFrame") or is_a(candidates, "pandas", "Series"):
        labels = candidates.index.tolist()
        return [Proposal(**(vars(each) | {"index": labels[each.position]})) for each in proposals]
    return proposals


def _read(body: Mapping[str, Any], cut: Set[int]) -> Proposal:
    """A proposal as the server describes it. Raises an error if it is something else.

    cut: the numbers of the candidates that are too long
    """
    values = {name: value for name, value in body.items() if name in Proposal.__dataclass_fields__}
    values["position"] = values["index"]
    values["cut"] = values["index"] in cut
    labelled = not isinstance(values["prediction"], list)
    if "std" in values:
        if labelled or len(values["std"]) != len(values["prediction"]) or min(values["std"]) < 0:
            raise ValueError(f"std is {shown(values['std'])} for {shown(values['prediction'])}")
        values["std"] = _numbers(values["std"])
    kinds = LABELS - {float}
    values["prediction"] = scalars([values["prediction"]], kinds)[0] if labelled else _numbers(values["prediction"])
    check_types(Proposal, values)
    if (values.get("nearest_example") or 0) < 0:
        raise ValueError(f"nearest_example is {values['nearest_example']}")
    return Proposal(**values)


def _numbers(value: Any) -> Any:
    """Numbers: one alone is no list. Raises TypeError for anything else."""
    numbers = scalars(value, REALS - {type(None)})
    if not numbers or not all(map(isfinite, numbers)):
        raise TypeError(f"expected finite numbers, got {shown(value)}")
    return numbers[0] if len(numbers) == 1 else numbers


def _check(proposals: list[Proposal], count: Any, candidates: int) -> None:
    """Raise ValueError unless there are as many proposals as were asked for, each of another candidate."""
    positions = {each.position for each in proposals}
    if not len(positions) == len(proposals) == count or not positions <= set(range(candidates)):
        raise ValueError(f"the proposals are {shown(sorted(positions))}, of {candidates} candidates")
    if not all(isfinite(each.score) for each in proposals):
        raise ValueError("a score is not finite")
