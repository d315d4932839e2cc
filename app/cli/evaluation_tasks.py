"""The tasks of an evaluation, asked of a server over HTTP."""

from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
import msgspec
import numpy as np
import torch
from torch import Tensor

from app.bundles import Bundle
from app.errors import InnerloopError
from app.learn.losses import KINDS
from app.learn.outer import Tasks
from app.training.predictor import Answers, Predictor

AT_ONCE = 16
"""Requests on their way at the same time."""
MSGPACK = "application/msgpack"
"""A fifth of the bytes of JSON, and of the time to read them, for images of 28 x 28."""
CALLED = "class {}"
"""The label of a class; labels are in the order of their classes for fewer than 1,000."""


def over_http(url: str, bundle: Bundle) -> Predictor:
    """The model of the bundle's name behind the server at `url`.

    What it answers 422 is not usable. For classes and for actions by name the outputs are the logarithms of the
    probabilities. Raises InnerloopError where the server does not answer, or serves another bundle of that name, and
    where decisions are weighed by what is not in the tasks: each is sent as an episode to imitate.
    """

    def answer(tasks: Tasks, steps: Sequence[int]) -> Answers:
        with httpx.Client(base_url=url, timeout=120) as client, ThreadPoolExecutor(AT_ONCE) as pool:
            check_served(_sent(client, "GET", f"/models/{bundle.name}").json(), bundle)
            bodies = [_body(bundle, tasks, task, count) for count in steps for task in range(len(tasks.support.mask))]
            rows = list(pool.map(lambda body: _outputs(client, bundle, body), bodies))
        shape = (len(steps), len(tasks.support.mask))
        usable = torch.tensor([row is not None for row in rows]).reshape(shape)
        empty = torch.zeros_like(next((row for row in rows if row is not None), tasks.query.targets[0]))
        outputs = torch.stack([empty if row is None else row for row in rows])
        return Answers(outputs.reshape(*shape, *empty.shape), usable)

    return answer


def check_served(shown: Mapping[str, Any], bundle: Bundle) -> None:
    """Raises InnerloopError where a server serves another bundle of that name. shown: its answer to /models/{name}."""
    if shown.get("digest") != bundle.manifest.digest:
        raise InnerloopError(f"the server serves another {bundle.name} than the one in this folder")


def _body(bundle: Bundle, tasks: Tasks, task: int, steps: int) -> Mapping[str, Any] | None:
    """The request for a task; None where there is none, for a closed form without its step for classes."""
    body: dict[str, Any] = {"model": bundle.name, "queries": _raw(tasks.query.inputs[task])}
    classes, closed_form = KINDS[bundle.manifest.kind].one_hot, bundle.algorithm.closed_form
    if closed_form and steps == 0:
        return None if classes else body
    shown = tasks.support.mask[task]
    inputs, targets = tasks.support.inputs[task][shown], tasks.support.targets[task][shown]
    if KINDS[bundle.manifest.kind].weighted:
        return body | {"support": {"episodes": _episodes(bundle, inputs, targets)}, "steps": steps}
    written = [CALLED.format(f"{index:03d}") for index in targets.argmax(-1).tolist()] if classes else _raw(targets)
    body["support"] = {"inputs": _raw(inputs), "targets": written}
    return body if closed_form else body | {"steps": steps}


def _episodes(bundle: Bundle, inputs: Tensor, targets: Tensor) -> list[Mapping[str, Any]]:
    """Decisions as episodes of one step."""
    if not (targets[:, -1] == 1).all():
        raise InnerloopError(f"the tasks of {bundle.name} weigh decisions, so that a server cannot be asked them")
    schema = bundle.manifest.schema
    by_name = schema.actions is not None and not schema.actions.is_box
    actions = targets[:, :-1].argmax(1).tolist() if by_name else targets[:, :-1].tolist()
    rows = zip(inputs.tolist(), actions, strict=True)
    return [{"observations": [seen], "actions": [done]} for seen, done in rows]


def _raw(values: Tensor) -> Mapping[str, Any]:
    """An array as msgpack has it (`app.api.schemas.RawArray`)."""
    return {"shape": list(values.shape), "data": values.numpy(force=True).astype("<f4").tobytes(), "dtype": "float32"}


def _array(sent: Mapping[str, Any]) -> Tensor:
    """An array that came as msgpack."""
    return torch.from_numpy(np.frombuffer(sent["data"], "<f4").reshape(sent["shape"]).copy())


def _outputs(client: httpx.Client, bundle: Bundle, body: Mapping[str, Any] | None) -> Tensor | None:
    if body is None:
        return None
    response = _sent(client, "POST", "/predict", body)
    if response.status_code == httpx.codes.UNPROCESSABLE_ENTITY and "losses" in response.json():
        return None
    if response.is_error:
        raise InnerloopError(response.json()["detail"])
    found = msgspec.msgpack.decode(response.content)
    if KINDS[bundle.manifest.kind].weighted:
        if "probabilities" in found:
            return _array(found["probabilities"]).log()
        return torch.cat([_array(found["mean"]), _array(found["std"]).log()], dim=1)
    if not KINDS[bundle.manifest.kind].one_hot:
        return _array(found["predictions"])
    order = sorted(range(len(found["labels"])), key=found["labels"].__getitem__)
    return _array(found["probabilities"])[:, order].log()


def _sent(client: httpx.Client, method: str, path: str, body: Any = None) -> httpx.Response:
    content = None if body is None else msgspec.msgpack.encode(body)
    try:
        return client.request(method, path, content=content, headers={"Content-Type": MSGPACK, "Accept": MSGPACK})
    except httpx.TransportError as error:
        raise InnerloopError(f"no server answers at {client.base_url}: {error}; innerloop serve starts one") from error
