"""How well are intents told apart that were not trained on, over HTTP?

CLINC150 (Larson et al. 2019), by three protocols:

- episodes: the five splits of Dopierre et al. 2021, 50 / 50 / 50 intents. Each has a bundle of its own, trained on its
  training intents. 600 tasks of test intents, 5 queries of each class; all 150 sentences of an intent take part.
- all intents: 5 or 10 sentences of each of 150 intents, the official test sentences. The bundle is models/intents,
  which has seen the training sentences of most of these intents; and the same without its map.
- out of scope: tasks of test intents, with sentences that no intent has. AUROC of `similarity`, and the share of both
  sorts that `unlike` marks.

Sentences are posted as their embeddings, which are computed once: the answer is the same, as `service_tests/api/
test_texts.py` tests.

    pip install 'innerloop-server[bench,text]'
    python -m service_tests.benchmarks.text_accuracy --data FOLDER [--parts 01,02,03,04,05,all]
"""

import csv
import gzip
import json
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated, Any, NamedTuple

import httpx
import msgspec
import numpy as np
import torch
import typer

from app.bundles.folder import load, write
from app.encoders.text import TextEncoder
from app.families.text import Text
from app.learn.significance import interval
from app.training.recipes.registry import recipe_for
from app.training.similarity_calibration import calibrate_texts
from app.training.train_to_end import make_run
from service_tests.benchmarks import report
from service_tests.processes import ROOT, command, starting

NAME, FILE = "text_accuracy", "clinc150.csv.gz"
TASKS, QUERIES, OUT_OF_SCOPE = 600, 5, 20
"""Tasks of each split and setting, queries of each class, and out-of-scope sentences in a task."""
SETTINGS = ((5, 1), (5, 5), (15, 1), (15, 5))
PLAIN = "plain"
ALL = "all"


class Setting(NamedTuple):
    """ways, shots: of a task; names: whether the words of labels count."""

    ways: int
    shots: int
    names: bool

    def __str__(self) -> str:
        return f"{self.ways}-way {self.shots}-shot{' with names' if self.names else ''}"


@dataclass(frozen=True)
class Sentences:
    """The sentences of each intent; by the official split, and of all splits."""

    by_split: Mapping[str, Mapping[str, Sequence[str]]]
    embeddings: Mapping[str, np.ndarray]

    @classmethod
    def read(cls, data: Path, folder: Path) -> "Sentences":
        """Read the data set. folder: of the embeddings, which are computed if they are not there"""
        by_split: dict[str, dict[str, list[str]]] = {}
        with gzip.open(data / FILE, "rt", encoding="utf-8", newline="") as lines:
            for row in csv.DictReader(lines):
                by_split.setdefault(row["split"], {}).setdefault(row["intent"], []).append(row["text"])
        texts = list(dict.fromkeys(text for intents in by_split.values() for part in intents.values() for text in part))
        file = folder / "sentences.npy"
        if not file.exists():
            np.save(file, TextEncoder.of_model().encode(texts))
        return cls(by_split, dict(zip(texts, np.load(file), strict=True)))

    def as_array(self, texts: Sequence[str]) -> dict[str, Any]:
        """The embeddings of texts, as a body in msgpack has an array."""
        rows = np.stack([self.embeddings[text] for text in texts])
        return {"shape": rows.shape, "data": rows.tobytes(), "dtype": "float32"}

    @cached_property
    def of_intents(self) -> dict[str, list[str]]:
        """All sentences of each intent."""
        parts = [self.by_split[name] for name in ("train", "val", "test")]
        return {intent: [text for part in parts for text in part[intent]] for intent in parts[0]}

    @cached_property
    def out_of_scope(self) -> list[str]:
        """The official test sentences of no intent."""
        return [text for texts in self.by_split["oos_test"].values() for text in texts]


def train_split(sentences: Sentences, split: Mapping[str, Sequence[str]], folder: Path) -> None:
    """Write a bundle that is trained and calibrated on the training and validation intents of a split."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    file = folder.parent / f"{folder.name}.csv"
    with file.open("w", encoding="utf-8", newline="") as lines:
        rows = [(text, name) for name, texts in sentences.of_intents.items() for text in texts]
        csv.writer(lines).writerows([("text", "label"), *rows])
    classes = {"training": split["train"], "validation": split["valid"], "test": split["test"]}
    family = Text(classes=classes, data=file, cache=folder.parent.parent / "embeddings")
    run = make_run(replace(recipe_for("text"), validate_every=None), torch.device("cpu"), compiled=False, family=family)
    run.advance(run.recipe.outer_steps)
    bundle = run.as_bundle(folder.name, initial_loss=1.0)
    write(
        folder,
        replace(bundle.manifest, calibration=calibrate_texts(bundle, family)),
        bundle.meta,
        bundle.encoder_arrays,
    )


def write_plain(folder: Path) -> None:
    """Write models/intents without its map: the embeddings as they are, with the same scale and rates."""
    bundle = load(ROOT / "models/intents")
    scale = bundle.manifest.network.options["scale"]
    meta = {**bundle.meta, "weight": scale * torch.eye(len(bundle.meta["weight"]))}
    write(folder, bundle.manifest, meta, bundle.encoder_arrays)


@contextmanager
def serving(models: Path) -> Iterator[httpx.Client]:
    """A server with these bundles, on one thread."""
    settings = {"models_dir": models, "store": "memory", "threads": 1, "compile": False}
    settings |= {"max_multiply_adds": 10**13, "max_work_bytes": 2**33}
    with (
        starting([command("innerloop"), "serve"], models / "server.log", **settings) as (url, _),
        httpx.Client(base_url=url, timeout=600) as client,
    ):
        yield client


def predict(
    client: httpx.Client,
    model: str,
    sentences: Sentences,
    support: Mapping[str, Any],
    queries: Sequence[str],
    *,
    names: bool,
) -> Any:
    """The answer of POST /predict."""
    support = {**support, "inputs": sentences.as_array(support["inputs"])}
    body = {"model": model, "support": support, "queries": sentences.as_array(queries), "label_names": names}
    headers = {"content-type": "application/msgpack", "accept": "application/json"}
    response = client.post("/predict", content=msgspec.msgpack.encode(body), headers=headers)
    response.raise_for_status()
    return response.json()


def draw(
    sentences: Mapping[str, Sequence[str]], intents: Sequence[str], setting: Setting, generator: np.random.Generator
) -> tuple[dict[str, list[str]], list[str], list[str]]:
    """A task: the support set, the queries and their true labels."""
    chosen = generator.permutation(np.array(intents))[: setting.ways].tolist()
    inputs, targets, queries, truth = [], [], [], []
    for intent in chosen:
        texts = generator.permutation(len(sentences[intent]))[: setting.shots + QUERIES]
        drawn = [sentences[intent][index] for index in texts]
        inputs += drawn[: setting.shots]
        queries += drawn[setting.shots :]
        targets += [intent] * setting.shots
        truth += [intent] * QUERIES
    return {"inputs": inputs, "targets": targets}, queries, truth


def episodes(
    client: httpx.Client, split: str, intents: Sequence[str], sentences: Sentences, done: Collection[str]
) -> Iterator[dict[str, Any]]:
    """Rows of accuracy, AUROC and marked shares on the test intents of a split, for the settings that are not done."""
    settings = [Setting(ways, shots, names) for ways, shots in SETTINGS for names in (True, False)]
    for setting in settings:
        if str(setting) in done:
            continue
        generator = np.random.default_rng(int(split))
        answers = [_episode(client, split, sentences, intents, setting, generator) for _ in range(TASKS)]
        yield {"part": split, "setting": str(setting), **_scores(answers)}


class Answered(NamedTuple):
    """A task: which queries were right; of these and of the sentences out of scope, the similarity and the marks."""

    right: np.ndarray
    known: np.ndarray
    known_marked: np.ndarray
    strange: np.ndarray
    strange_marked: np.ndarray


def _episode(
    client: httpx.Client,
    model: str,
    sentences: Sentences,
    intents: Sequence[str],
    setting: Setting,
    generator: np.random.Generator,
) -> Answered:
    others = sentences.out_of_scope
    support, queries, truth = draw(sentences.of_intents, intents, setting, generator)
    strangers = [others[index] for index in generator.integers(len(others), size=OUT_OF_SCOPE)]
    answer = predict(client, model, sentences, support, [*queries, *strangers], names=setting.names)
    similarity, marked = np.array(answer["similarity"]), np.array(answer["unlike"])
    count = len(queries)
    right = np.array(answer["predictions"][:count]) == np.array(truth)
    return Answered(right, similarity[:count], marked[:count], similarity[count:], marked[count:])


def _scores(answers: Sequence[Answered]) -> dict[str, float]:
    """In per cent."""
    accuracy = interval(torch.tensor([each.right.mean() for each in answers], dtype=torch.float64))
    _, known, marked, strange, strange_marked = (np.concatenate(part) for part in zip(*answers, strict=True))
    return {
        "accuracy": round(100 * accuracy.mean, 2),
        "accuracy_95": round(100 * accuracy.half_width, 2),
        "out_of_scope_auroc": round(100 * auroc(known, strange), 2),
        "known_marked": round(100 * float(marked.mean()), 1),
        "out_of_scope_marked": round(100 * float(strange_marked.mean()), 1),
    }


def auroc(high: np.ndarray, low: np.ndarray) -> float:
    """The probability that one of the first numbers is above one of the second; ties count half."""
    ranked = np.sort(low)
    below, up_to = np.searchsorted(ranked, high), np.searchsorted(ranked, high, side="right")
    return float((below + up_to).mean() / 2 / len(low))


def all_intents(
    client: httpx.Client, sentences: Sentences, done: Collection[str], draws: int = 3
) -> Iterator[dict[str, Any]]:
    """Rows of accuracy with all 150 intents on the official test sentences."""
    train, test = sentences.by_split["train"], sentences.by_split["test"]
    queries = [text for texts in test.values() for text in texts]
    truth = np.array([intent for intent, texts in test.items() for _ in texts])
    for model in ("intents", PLAIN):
        for shots in (5, 10):
            setting, scores = f"{model}, {shots}-shot with names", []
            if setting in done:
                continue
            for seed in range(draws):
                generator = np.random.default_rng(seed)
                drawn = {name: generator.permutation(len(texts))[:shots] for name, texts in train.items()}
                inputs = [train[name][index] for name, indices in drawn.items() for index in indices]
                targets = [name for name in drawn for _ in range(shots)]
                support = {"inputs": inputs, "targets": targets}
                answer = predict(client, model, sentences, support, queries, names=True)
                scores.append((np.array(answer["predictions"]) == truth).mean())
            row = {"part": ALL, "setting": setting, "accuracy": round(100 * float(np.mean(scores)), 2)}
            yield {**row, "draws": draws, "draws_std": round(100 * float(np.std(scores)), 2)}


def main(
    data: Annotated[Path, typer.Option(help="Folder of clinc150.csv.gz and splits.json.")],
    parts: Annotated[str, typer.Option(help="Splits, and all for all intents.")] = f"01,02,03,04,05,{ALL}",
    models: Annotated[Path | None, typer.Option(help="Folder that keeps the bundles of the splits.")] = None,
    resume: Annotated[bool, typer.Option(help="Leave out the settings that have results.")] = False,
    keep: Annotated[bool, typer.Option(help="Write the results.")] = True,
) -> None:
    """Measure, and write the results beside those of other parts."""
    torch.set_num_threads(1)
    splits = json.loads((data / "splits.json").read_text())
    with TemporaryDirectory() as temporary:
        folder = models or Path(temporary)
        sentences = Sentences.read(data, folder)
        for part in parts.split(","):
            own = folder / part
            if part == ALL and not (own / "intents").exists():
                write_plain(own / PLAIN)
                copy_bundle(ROOT / "models/intents", own / "intents")
            elif part != ALL and not (own / part).exists():
                train_split(sentences, splits[part], own / part)
            done = {row["setting"] for row in earlier_rows() if row["part"] == part} if resume else set()
            with serving(own) as client:
                rows = (
                    all_intents(client, sentences, done)
                    if part == ALL
                    else episodes(client, part, splits[part]["test"], sentences, done)
                )
                for row in rows:
                    print(row, flush=True)
                    write_row(row, keep=keep)


def copy_bundle(source: Path, target: Path) -> None:
    """Copy a bundle."""
    bundle = load(source)
    write(target, bundle.manifest, bundle.meta, bundle.encoder_arrays)


def earlier_rows() -> list[dict[str, Any]]:
    """The rows that were measured before."""
    file = report.RESULTS / f"{NAME}.json"
    rows: list[dict[str, Any]] = json.loads(file.read_text())["rows"] if file.exists() else []
    return rows


def write_row(row: dict[str, Any], *, keep: bool) -> None:
    """Write a row in the place of an earlier one of the same part and setting."""
    kept = [each for each in earlier_rows() if (each["part"], each["setting"]) != (row["part"], row["setting"])]
    question = "Accuracy in per cent on intents of CLINC150 that were not trained on, over HTTP"
    rows = sorted([*kept, row], key=lambda each: (each["part"], len(each["setting"]), each["setting"]))
    report.write(NAME, question, rows, keep=keep)


if __name__ == "__main__":
    typer.run(main)
