"""Features of the rows that records keep: encoded by the worker, all rows of a batch together."""

from collections import OrderedDict
from collections.abc import Hashable, Iterable, Mapping, Sequence
from dataclasses import replace
from hashlib import blake2b
from threading import Lock
from typing import NamedTuple

import numpy as np

from app.errors import Invalid, Outgrown
from app.service.encoded_tasks import EncodedTasks
from app.service.model import Model
from app.service.stored_examples import object_rows
from app.service.task import Task

MAX_BYTES = 32 * 2**20
"""Of cached features: about 9,000 gray drawings of 28 x 28, or 26,000 texts, which are kept in half precision."""
ENTRY_BYTES = 512
"""What an entry takes besides its features: keys, and its place in the order of use."""


class FeatureCache:
    """Features of rows that are slow to encode, by owner and content, the least recently used evicted first.

    They are those of the bundle that encoded the row last. Threads may share it.

    tasks: those that keep the features of all their rows, which take up to MAX_BYTES too
    """

    def __init__(self, max_bytes: int = MAX_BYTES) -> None:
        self._max_bytes = max_bytes
        self._bytes = 0
        self._entries: OrderedDict[Hashable, tuple[str, np.ndarray]] = OrderedDict()
        self._lock = Lock()
        self.tasks = EncodedTasks(max_bytes)

    def __len__(self) -> int:
        return len(self._entries)

    def encode(self, model: Model, owner: str, rows: np.ndarray) -> np.ndarray:
        """The features of rows, float32 [row, feature]: from the cache, or encoded together. Raises Invalid."""
        keys = [_key(owner, row) for row in rows]
        features = [self._get(key, model.digest) for key in keys]
        names = [key or index for index, key in enumerate(keys)]  # a row without a key is like no other
        if missing := {names[index]: index for index, cached in enumerate(features) if cached is None}:
            encoded = model.bundle.encoder.encode(rows[[*missing.values()]].tolist())
            new = dict(zip(missing, encoded, strict=True))
            features = [new[name] if cached is None else cached for name, cached in zip(names, features, strict=True)]
            for name, index in missing.items():
                self._put(keys[index], model.digest, new[name])
        return np.stack(features)  # type: ignore[arg-type]  # those that were missing are there now

    def missing(self, digest: str, owner: str, rows: np.ndarray) -> np.ndarray:
        """The rows whose features it does not have: all that are not texts or files. digest: of the bundle"""
        if rows.dtype != object:
            return rows
        keys = [_key(owner, row) for row in rows]
        with self._lock:
            entries = [self._entries.get(key) for key in keys]
        return rows[[entry is None or entry[0] != digest for entry in entries]]

    def drop(self, owner: str, rows: Iterable[object]) -> None:
        """Drop the features of these rows of an owner, and of all tasks that may have one of them."""
        self.tasks.drop(owner)
        keys = [_key(owner, row) for row in rows]
        with self._lock:
            for key in keys:
                self._remove(key)

    def _get(self, key: Hashable, digest: str) -> np.ndarray | None:
        with self._lock:
            entry = self._entries.get(key)
            if entry is None or entry[0] != digest:
                return None
            self._entries.move_to_end(key)
            return entry[1].astype(np.float32, copy=False)

    def _put(self, key: Hashable, digest: str, features: np.ndarray) -> None:
        if key is None:
            return
        with self._lock:
            self._remove(key)
            small = _in_half(features)
            self._entries[key] = digest, small
            self._bytes += small.nbytes + ENTRY_BYTES
            while self._bytes > self._max_bytes:
                _, (_, evicted) = self._entries.popitem(last=False)
                self._bytes -= evicted.nbytes + ENTRY_BYTES

    def _remove(self, key: Hashable) -> None:
        if (entry := self._entries.pop(key, None)) is not None:
            self._bytes -= entry[1].nbytes + ENTRY_BYTES


def encode_tasks(model: Model, tasks: Sequence[Task], cache: FeatureCache) -> list[Task]:
    """The tasks of records, with features in the place of what the records keep.

    Where queries are compared with them each time, the task keeps its features: if they are no larger than its inputs,
    or as long as the cache has room. Raises Outgrown where the encoder of the model refuses a row of any of them.
    """
    known = [task.encoded_for(model.digest) for task in tasks]
    for task in tasks:
        cache.tasks.touch(task)
    if all(known):
        return [task for task in known if task is not None]
    stages = [stage for task, old in zip(tasks, known, strict=True) if old is None for stage in task.stages]
    named = [stage for stage in stages if stage.names]
    kept = [Kept(stage.kept_by, stage.inputs) for stage in stages]
    kept += [Kept(stage.kept_by or "", object_rows([*stage.names.values()])) for stage in named]
    try:
        encoded_rows = encode_rows(model, kept, cache)
    except Invalid as error:
        raise Outgrown(model.bundle.name) from error
    except SystemExit as error:  # raised by a user's encoder, it would end the server
        raise RuntimeError(f"an encoder exits: {error}") from error
    features = dict(zip(map(id, stages), encoded_rows, strict=False))
    words = dict(zip(map(id, named), encoded_rows[len(stages) :], strict=True))
    encoded = [old or _with_features(task, features, words) for task, old in zip(tasks, known, strict=True)]
    calibration = model.bundle.manifest.calibration
    for task, new, old in zip(tasks, encoded, known, strict=True):
        if old is None and calibration.has_similarity and task.kept_by is not None:
            cache.tasks.keep(task, model.digest, new)
        elif calibration.has_distances and new.bytes <= task.bytes:
            task.encoded = model.digest, new
    return encoded


def _with_features(task: Task, features: Mapping[int, np.ndarray], words: Mapping[int, np.ndarray]) -> Task:
    """The same task with features, and with those of the words of its classes, by the identity of its stages."""
    if id(task) in words:
        return task.with_names(features[id(task)], words[id(task)])
    encoded = None
    for stage in task.stages:
        encoded = replace(stage, inputs=features[id(stage)], previous=encoded, kept_by=None, label_names=False)
    assert encoded is not None, "a task has a stage"
    return encoded


class Kept(NamedTuple):
    """Rows that may have to be encoded.

    owner: whose they are; None where they are features
    rows: as in a `Stage`
    """

    owner: str | None
    rows: np.ndarray


def encode_rows(model: Model, kept: Sequence[Kept], cache: FeatureCache) -> list[np.ndarray]:
    """The features of each, those of an owner encoded together. Raises Invalid."""
    encoder, inputs = model.bundle.encoder, [each.rows for each in kept]
    none = np.empty((0, model.bundle.manifest.schema.features), np.float32)
    groups: dict[tuple[str, bool], list[int]] = {}
    for index, (owner, rows) in enumerate(kept):
        posted = rows.dtype == object
        if not len(rows):
            inputs[index] = none
        elif owner is not None and (posted or not encoder.keeps_features):
            groups.setdefault((owner, posted), []).append(index)
    for (owner, posted), indices in groups.items():
        rows = np.concatenate([inputs[index] for index in indices])
        if posted and encoder.slow:
            features = cache.encode(model, owner, rows)
        else:
            features = encoder.encode(rows.tolist() if posted else rows)
        start = 0
        for index in indices:
            end = start + len(inputs[index])
            inputs[index], start = features[start:end], end
    return inputs


def _in_half(features: np.ndarray) -> np.ndarray:
    """A copy in half precision where that is the same, else in float32."""
    with np.errstate(over="ignore"):
        half: np.ndarray = features.astype(np.float16)
    return half if (half == features).all() else features.copy()


def _key(owner: str, row: object) -> Hashable:
    """The key of a row that is a text or a file; None for any other, which is not cached."""
    if not isinstance(row, str | bytes):
        return None
    return owner, type(row), blake2b(row.encode() if isinstance(row, str) else row, digest_size=16).digest()
