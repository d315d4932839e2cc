// Everything that can go wrong with a call (test_typescript.py). Its arguments are the URLs of a server that
// misbehaves, and of one whose status text is not ASCII.
// @ts-expect-error: the types of Node.js are not installed
import { runInNewContext } from "node:vm";
// @ts-expect-error
import { setFlagsFromString } from "node:v8";
import { Innerloop, InnerloopError } from "innerloop-client";

declare const process: { argv: string[] };
declare const Buffer: { from(bytes: number[]): Uint8Array };
const url = process.argv[2]!;
const body = { model: "sinusoid", support: { inputs: [[1]], targets: [1] } };
const at = (path: string, timeout?: number) => new Innerloop(`${url}/${path}`, { timeout });
const answers = ["html", "cut", "none", "empty", "list", "object", "cut-problem", "null-problem", "gateway", "redirect", "numbers", "fine"];
const loop: unknown[][] = [];
loop.push(loop);
const ring: Record<string, unknown> = {};
ring["of"] = { ring };
class Hidden {
  #age = 1;
  get age() {
    return this.#age;
  }
}
class Row {
  constructor(public age: number) {}
}

const calls: Record<string, () => Promise<unknown>> = {
  silent: () => at("silent", 0.2).adapt(body),
  "silent body": () => at("silent-body", 0.2).adapt(body),
  "silent, with a signal": () =>
    at("silent", 0.2).http.POST("/adapt", { body, signal: new AbortController().signal }),
  down: () => new Innerloop("http://127.0.0.1:9").adapt(body),
  "an id": () => at("object").adaptation(""),
  "a path": () => at("object").adaptation(".."),
  "a big integer": () => at("object").adapt({ ...body, support: { inputs: [[1n]] } }),
  "a long integer": () => at("object").adapt({ ...body, label: 10n ** 999n as never }),
  "another Date": () => at("object").adapt({ ...body, label: runInNewContext("new Date(NaN)") }),
  "another BigInt": () => at("object").predict({ model: "a", queries: [runInNewContext("Object(1n)")] }),
  "another Map": () => at("object").predict({ model: "a", queries: [runInNewContext("new Map([[1, 2]])")] }),
  "another Number": () => at("object").adapt({ ...body, learning_rate: runInNewContext("new Number(NaN)") }),
  "no options": async () => new Innerloop(url, null as never),
  "a list of options": async () => new Innerloop(url, [] as never),
  "no fetch": async () => new Innerloop(url, { fetch: 5 as never }),
  "no answer": () => new Innerloop(url, { fetch: (async () => 5) as never }).adapt(body),
  "no headers": async () => new Innerloop(url, { headers: "a: b" as never }),
  "no Request": async () => new Innerloop(url, { Request: (() => 1) as never }),
  "no signal": async () => new Innerloop(url, { signal: 5 as never }),
  "no serializer": async () => new Innerloop(url, { querySerializer: 5 as never }),
  "no text of a URL": async () => new Innerloop(Object.create(null)),
  "a loop": () => at("object").adapt({ ...body, support: { inputs: loop } }),
  "an infinite cell": () => at("object").predict({ model: "wards", queries: [{ age: 61, "blood pressure": -Infinity }] }),
  "an infinite number": () => at("object").adapt({ ...body, support: { inputs: [[1], [Infinity]], targets: [1, 2] } }),
  "an infinite typed number": () => at("object").predict({ model: "a", queries: [new Float32Array([1, Infinity])] as never }),
  "an infinite observation": () =>
    at("object").adapt({ model: "a", support: { episodes: [{ observations: [[NaN, Infinity]], actions: [0] }] } }),
  "an infinite boxed number": () => at("object").predict({ model: "a", queries: [[new Number(Infinity)]] as never }),
  "no target": () => at("object").adapt({ ...body, support: { inputs: [[1]], targets: [NaN] } }),
  "no reward": () =>
    at("object").adapt({ model: "a", support: { episodes: [{ observations: [[1]], actions: [0], rewards: [NaN] }] } }),
  "no rate": () => at("object").adapt({ ...body, learning_rate: NaN }),
  "no date": () => at("object").adapt({ ...body, label: new Date(NaN) as never }),
  "half a character": () => at("object").adaptation("\ud800"),
  "a header": async () => new Innerloop(url, { headers: { a: "\u20ac" } }),
  "a big URL": async () => new Innerloop(1n as never),
  "a big timeout": async () => at("object", 1n as never),
  fetch: () => new Innerloop(url, { fetch: () => Promise.reject(null) }).adapt(body),
  "nothing said": () => at("untold").adapt(body),
  "a name of errors": () => at("renamed", 2.01).adapt(body),
  "big integers": () => at("object").predict({ model: "a", queries: [new BigInt64Array([3n])] as never }),
  "a big label": () => at("object").adapt({ ...body, support: { inputs: [[1]], targets: [3n as never] } }),
  "a loop of objects": () => at("object").predict({ model: "a", queries: [ring] as never }),
  "a set": () => at("object").predict({ model: "a", queries: new Set([[1]]) as never }),
  "a map": () => at("object").predict({ model: "a", queries: [new Map([["age", 1]])] as never }),
  "a buffer": () => at("object").predict({ model: "a", queries: [new ArrayBuffer(8)] as never }),
  "a view": () => at("object").predict({ model: "a", queries: [new DataView(new ArrayBuffer(8))] as never }),
  "a hidden object": () => at("object").predict({ model: "a", queries: [new Hidden()] as never }),
  "a function": () => at("object").adapt({ ...body, label: (() => "a") as never }),
  "a function in a list": () => at("object").predict({ model: "a", queries: [[() => 1]] as never }),
  "a symbol": () => at("object").adapt({ ...body, support: { inputs: [[1]], targets: [Symbol("a") as never] } }),
  "no label": () => at("object").adapt({ ...body, support: { inputs: [[1]], targets: [undefined as never] } }),
  "no body": () => at("object").predict(undefined as never),
  "no body to adapt to": () => at("object").adapt(null as never),
  "no body to propose for": () => at("object").propose("a" as never),
  "a list as a body": () => at("object").http.POST("/predict", { body: [] as never }),
  "no URL": async () => new Innerloop("foo"),
  "a query": async () => new Innerloop(`${url}/?a=b`),
  "a password": async () => new Innerloop("http://user:secret@127.0.0.1"),
  "no timeout": async () => at("object", 0),
};
for (const name of answers) {
  calls[`${name}: adapt`] = () => at(name).adapt(body);
  calls[`${name}: predict`] = () => at(name).predict({ ...body, queries: [[1]] });
  calls[`${name}: adaptation`] = () => at(name).adaptation("a");
}
const seen: Record<string, unknown> = {};
const statuses: Record<string, unknown> = {};
for (const [name, call] of Object.entries(calls)) {
  const error = await call().then(() => "no error", (error) => error);
  [seen[name], statuses[name]] = error instanceof InnerloopError ? [error.message, error.status] : [`${error}`];
}
const typed = { inputs: [new Float32Array([0.5])], targets: new Float64Array([1.5]) as unknown as number[] };
const { data: sent } = await at("echo").http.POST("/adapt", { body: { model: "sinusoid", support: typed as never } });
const rows = [new Row(61), Object.assign(Object.create(null), { age: 1 }), { at: new Date(0) }, new String("a")];
const { data: others } = await at("echo").http.POST("/predict", {
  body: { model: "wards", queries: [...rows, Buffer.from([1, 2]), [undefined]] as never },
});
const missing = [[NaN], { age: NaN, seen: new Date(NaN) }, [new Float32Array([NaN])]];
const { data: gaps } = await at("echo").http.POST("/predict", { body: { model: "wards", queries: missing as never } });

// numbers in an answer, and in what is sent
const numbers: Record<string, unknown> = {};
for (const name of ["rounded", "rounded-later", "rounded-long", "exact"]) {
  numbers[name] = await at(name).adapt(body).catch((error: InnerloopError) => [error.status, error.message]);
}
const label = '", 9007199254740993, "\\\\", 9007199254740993]';
const wide = { label, support: { inputs: [[2 ** 53 - 1], [-(2 ** 53)], [1e300], [0.1 + 0.2]], targets: [1e17, 2] }, ttl_s: 2 ** 53 };
const { data: raw } = await at("echo").http.POST("/adapt", { body: { model: "sinusoid", ...wide }, parseAs: "text" });
const latin = await new Innerloop(process.argv[3]).adapt(body);

// requests that their caller aborts, each with what it rejects with, although the garbage is collected meanwhile
setFlagsFromString("--expose-gc");
const collect: () => void = runInNewContext("gc");
const mine = new Error("mine");
const soon = (why: unknown) => {
  const controller = new AbortController();
  setTimeout(collect, 30);
  setTimeout(() => controller.abort(why), 50);
  return controller.signal;
};
const send = (path: string, signal: AbortSignal) => at(path).http.POST("/adapt", { body, signal });
const replacing = at("silent");
replacing.http.use({ onRequest: ({ request }) => new Request(request) });
const aborting: Record<string, () => Promise<unknown>> = {
  before: () => send("object", AbortSignal.abort(mine)),
  later: () => send("silent", soon(mine)),
  "in the body": () => send("silent-body", soon(mine)),
  "a string": () => send("silent", soon("mine")),
  null: () => send("silent", soon(null)),
  "a timeout": () => send("silent", AbortSignal.timeout(0)),
  "no reason": () => send("silent", soon(undefined)),
  "all requests": () => new Innerloop(`${url}/silent`, { signal: soon(mine) }).adapt(body),
  "another request": () => replacing.http.POST("/adapt", { body, signal: soon(mine) }),
};
const aborted: Record<string, unknown> = {};
for (const [name, call] of Object.entries(aborting)) {
  aborted[name] = await call().then(
    () => "no error",
    (error) => (error === mine ? "the same" : error instanceof DOMException ? error.name : error),
  );
}
console.log(JSON.stringify({ seen, statuses, sent, others, gaps, numbers, raw, latin, aborted }));
