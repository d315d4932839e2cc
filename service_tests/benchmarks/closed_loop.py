"""How many decisions a second does POST /predict make in 64 episodes that go on at once, each by its own adaptation?

64 points each look for a goal (models/navigation). Innerloop first adapts to each over HTTP, in 3 stages of 20 episodes
of its own policy. Then 64 clients, with a connection each, post where their point is, move it by the most probable
action that comes back, and post again; when an episode ends, its client begins the next. The rivals hold 64 modules
with the weights that Innerloop has adapted; the benchmark first checks that all servers act alike.

Forms of the body: JSON with one observation; the same as msgpack, which the rivals do not read, so that it is compared
with their JSON; JSON with the observations of 20 episodes that a client goes through side by side. All servers take
turns in each round, and a figure is that of the best round. `cpu_us` is the least processor time of the server for a
decision, on which other processes and the load's own core weigh least; `times_` compares decisions a second,
`cpu_times_` that time.
"""

import argparse
import asyncio
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter
from typing import Any, NamedTuple

import httpx
import msgspec
import numpy as np
import orjson
import torch
import uvloop
from torch import Tensor

from app.cli.remote_learner import RemoteLearner
from app.families.navigation import Navigation
from app.training.returns import Trial
from innerloop_client import AsyncClient
from service_tests.benchmarks.connections import Connection, connected, post, send_all
from service_tests.benchmarks.report import write
from service_tests.benchmarks.servers import Server, cores, on, rival, serving, stores
from service_tests.processes import ROOT

WORLDS, EPISODES, STAGES = 64, 20, 3
ROUNDS, SECONDS = 4, 2.0
OBVIOUS, ASYNC = "64 modules behind FastAPI", "64 modules behind FastAPI, async def"
RIVALS = {
    OBVIOUS: "fastapi",
    ASYNC: "async",
    "64 modules on bare ASGI": "raw",
    "64 policies in numpy on bare ASGI": "numpy",
}
QUESTION = f"POST /predict in a closed loop: {WORLDS} episodes at once by as many adaptations, decisions a second"


class Form(NamedTuple):
    """A form of requests. episodes: that a client goes through side by side; ours: whether only Innerloop reads it."""

    name: str
    media: str
    encode: Callable[[str, Tensor], bytes]
    decode: Callable[[bytes], Any]
    episodes: int = 1
    ours: bool = False


def encode_json(adaptation: str, observations: Tensor) -> bytes:
    """A request in JSON, as people write it."""
    return orjson.dumps(
        {"adaptation_id": adaptation, "queries": observations.numpy()}, option=orjson.OPT_SERIALIZE_NUMPY
    )


def encode_msgpack(adaptation: str, observations: Tensor) -> bytes:
    """A request in msgpack, with a raw array."""
    raw = {"shape": list(observations.shape), "data": observations.numpy().tobytes(), "dtype": "float32"}
    return msgspec.msgpack.encode({"adaptation_id": adaptation, "queries": raw})


def decode_msgpack(body: bytes) -> Any:
    """The actions of a response in msgpack, a raw array."""
    raw = msgspec.msgpack.decode(body)["predictions"]
    return np.frombuffer(raw["data"], "<f4").reshape(raw["shape"]).copy()


def decode_json(body: bytes) -> Any:
    """The actions of a response in JSON."""
    return orjson.loads(body)["predictions"]


FORMS = (
    Form("JSON", "application/json", encode_json, decode_json),
    Form("msgpack", "application/msgpack", encode_msgpack, decode_msgpack, ours=True),
    Form(f"JSON, {EPISODES} observations", "application/json", encode_json, decode_json, episodes=EPISODES),
)


@dataclass
class Walks:
    """The work of all clients under one load. latencies_ms: of their requests; episodes: those that have ended."""

    decisions: int
    seconds: float
    latencies_ms: list[float]
    episodes: int
    cpu_s: float = 0.0

    @property
    def decisions_per_s(self) -> float:
        """Decisions a second."""
        return self.decisions / self.seconds

    @property
    def cpu_us(self) -> float:
        """Processor time of the server for a decision."""
        return self.cpu_s / self.decisions * 1e6

    def __str__(self) -> str:
        p50, p99 = np.percentile(self.latencies_ms, (50, 99))
        cpu = self.cpu_s / self.decisions * 1e6
        return (
            f"{self.decisions_per_s:.0f}/s, p50 {p50:.2f} ms, p99 {p99:.2f} ms, {cpu:.0f} us, {self.episodes} episodes"
        )


def load(server: Server, form: Form, goals: Tensor, ids: Sequence[str], seconds: float) -> Walks:
    """Wake the server, run the clients for that long, and let it sleep again."""
    with server.awake():
        before = server.cpu_s
        with on(cores().load), torch.inference_mode():
            walks = uvloop.run(_walk_all(server.url, form, goals, ids, seconds))
        walks.cpu_s = server.cpu_s - before
    return walks


async def _walk_all(url: str, form: Form, goals: Tensor, ids: Sequence[str], seconds: float) -> Walks:
    walks, started = Walks(0, seconds, [], 0), perf_counter()
    async with connected(url, len(ids)) as connections:
        await asyncio.gather(
            *(
                _walk(connection, form, goal, adaptation, started + seconds, walks)
                for connection, goal, adaptation in zip(connections, goals.split(1), ids, strict=True)
            )
        )
    walks.seconds = perf_counter() - started
    return walks


async def _walk(connection: Connection, form: Form, goal: Tensor, adaptation: str, until: float, walks: Walks) -> None:
    """One client: run episode after episode in its world, until the time is over."""
    world, generator = Navigation(), torch.Generator()
    while True:
        state, going = world.reset(goal, form.episodes, generator), None
        for _ in range(world.longest):
            observations = world.observe(state)[0]
            body = form.encode(adaptation, observations if going is None else observations[going])
            answer = await connection.send(post("/predict", body, form.media))
            assert answer.good, f"{answer.status}: {answer.body.decode()}"
            actions = torch.as_tensor(form.decode(answer.body))
            walks.decisions += len(actions)
            walks.latencies_ms.append(answer.seconds * 1e3)
            if perf_counter() > until:
                return
            if going is not None:  # episodes that are over send no request
                actions = torch.zeros(form.episodes, 2).index_put((going,), actions)
            state, _, over = world.step(state, actions.unsqueeze(0))
            if over.any():
                going = (~over)[0]
                if not going.any():
                    break
        walks.episodes += form.episodes


async def adapt(url: str, stages: int) -> tuple[Tensor, list[str]]:
    """Adapt to the episodes in 64 worlds; return their goals, and the ids of the adaptations."""
    trial = Trial(WORLDS, EPISODES, stages)
    async with AsyncClient(url) as client:
        learner = RemoteLearner(client, await client.model("navigation"), WORLDS)
        # the episodes after the last stage are not used
        await asyncio.to_thread(trial.run, Navigation(), lambda _: learner, torch.device("cpu"))
    return trial.draw_worlds(Navigation(), torch.device("cpu"))[0], [each.id for each in learner.adaptations if each]


def export_weights(url: str, ids: Sequence[str], folder: Path) -> None:
    """Write the adapted weights into a folder, a file for each adaptation."""
    for adaptation in ids:
        answer = httpx.get(f"{url}/adaptations/{adaptation}/weights", timeout=60)
        (folder / f"{adaptation}.safetensors").write_bytes(answer.raise_for_status().content)


def actions_of(server: Server, ids: Sequence[str]) -> Tensor:
    """The most probable actions at five places, by each adaptation: [adaptation, place, 2]."""
    places = torch.tensor([[0.0, 0.0], [0.1, -0.3], [-0.4, 0.2], [0.5, 0.5], [-0.25, -0.05]])
    answers = send_all(server.url, [post("/predict", encode_json(each, places)) for each in ids])
    return torch.tensor([decode_json(each.body) for each in answers])


@contextmanager
def running(stages: int) -> Iterator[tuple[list[Server], Tensor, list[str]]]:
    """Start all servers, check that they act alike and put them to sleep; the servers, the goals, the ids."""
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        ours = stack.enter_context(serving(stores(folder, models_dir=ROOT / "models")[0], folder))
        with on(cores().load):
            goals, ids = asyncio.run(adapt(ours.url, stages))
        weights = folder / "weights"
        weights.mkdir()
        export_weights(ours.url, ids, weights)
        servers = [ours]
        for name, way in RIVALS.items():
            (plan,) = rival(name, "policies", str(weights), way)
            servers.append(stack.enter_context(serving(plan, folder)))
        expected = actions_of(ours, ids)
        for server in servers[1:]:
            torch.testing.assert_close(actions_of(server, ids), expected, rtol=0, atol=1e-5)
        for server in servers:
            server.process.suspend()
        yield servers, goals, ids


def fastest(rounds: Sequence[Walks]) -> float:
    """Decisions a second in the best round."""
    return max(each.decisions_per_s for each in rounds)


def min_cpu_us(rounds: Sequence[Walks]) -> float:
    """Processor time for a decision, in the round where it was least."""
    return min(each.cpu_us for each in rounds)


def row(server: str, form: Form, rounds: Sequence[Walks], rivals: Mapping[str, Sequence[Walks]]) -> dict[str, Any]:
    """The figures of a server for one form of requests. rivals: the rounds of those that it is compared with."""
    best = max(rounds, key=lambda each: each.decisions_per_s)
    p50, p99 = np.percentile(best.latencies_ms, (50, 99))
    return {
        "server": server,
        "form": form.name,
        "decisions_per_s": round(best.decisions_per_s, 1),
        "p50_ms": round(float(p50), 3),
        "p99_ms": round(float(p99), 3),
        "cpu_us": round(min_cpu_us(rounds), 1),
        **{f"times_{name}": round(best.decisions_per_s / fastest(each), 3) for name, each in rivals.items()},
        **{f"cpu_times_{name}": round(min_cpu_us(each) / min_cpu_us(rounds), 3) for name, each in rivals.items()},
        "rounds_decisions_per_s": [round(each.decisions_per_s, 1) for each in rounds],
    }


def main() -> None:
    """Measure and write."""
    parser = argparse.ArgumentParser(description=f"{QUESTION}. Only the usual effort's results are kept.")
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    parser.add_argument("--seconds", type=float, default=SECONDS, help="a round, a server and a form")
    parser.add_argument("--stages", type=int, default=STAGES)
    options = parser.parse_args()
    rounds: dict[tuple[str, str], list[Walks]] = {}
    with running(options.stages) as (servers, goals, ids):
        for number in range(-1, options.rounds):  # one to warm up
            for form in FORMS:
                for server in servers[: 1 if form.ours else None]:
                    walks = load(server, form, goals, ids, options.seconds)
                    print(f"round {number + 1}, {form.name}, {server.name}: {walks}", file=sys.stderr)
                    if number >= 0:
                        rounds.setdefault((server.name, form.name), []).append(walks)
    rows = []
    for form in FORMS:
        beside = FORMS[0].name if form.ours else form.name
        rivals = {"the_obvious": rounds[OBVIOUS, beside], "the_async": rounds[ASYNC, beside]}
        rows += [row(name, form, each, rivals) for (name, sent), each in rounds.items() if sent == form.name]
    usual = vars(options) == {"rounds": ROUNDS, "seconds": SECONDS, "stages": STAGES}
    protocol = f"best of {options.rounds} rounds of {options.seconds:g} s each, {WORLDS} clients with a connection each"
    write("closed_loop", QUESTION, rows, keep=usual, hardware=str(cores()), protocol=protocol)


if __name__ == "__main__":
    main()
