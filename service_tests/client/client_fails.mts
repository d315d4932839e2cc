// Everything that can go wrong with a call (test_typescript.py). Its argument is the URL of a server that misbehaves.
import { Innerloop, InnerloopError } from "innerloop-client";

declare const process: { argv: string[] };
const url = process.argv[2]!;
const body = { model: "sinusoid", support: { inputs: [[1]], targets: [1] } };
const at = (path: string, timeout?: number) => new Innerloop(`${url}/${path}`, { timeout });
const answers = ["html", "cut", "none", "empty", "list", "object", "cut-problem", "null-problem", "gateway", "redirect", "numbers", "fine"];
const loop: unknown[][] = [];
loop.push(loop);

const calls: Record<string, () => Promise<unknown>> = {
  silent: () => at("silent", 0.2).adapt(body),
  "silent body": () => at("silent-body", 0.2).adapt(body),
  down: () => new Innerloop("http://127.0.0.1:9").adapt(body),
  "an id": () => at("object").adaptation(""),
  "a path": () => at("object").adaptation(".."),
  "a big integer": () => at("object").adapt({ ...body, support: { inputs: [[1n]] } }),
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
for (const [name, call] of Object.entries(calls)) {
  seen[name] = await call().then(
    () => "no error",
    (error) => (error instanceof InnerloopError ? error.message : `${error}`),
  );
}
const typed = { inputs: [new Float32Array([0.5])], targets: new Float64Array([1.5]) as unknown as number[] };
const { data: sent } = await at("echo").http.POST("/adapt", { body: { model: "sinusoid", support: typed as never } });
const missing = [[NaN], { age: NaN, seen: new Date(NaN) }, [new Float32Array([NaN])]];
const { data: gaps } = await at("echo").http.POST("/predict", { body: { model: "wards", queries: missing as never } });
console.log(JSON.stringify({ seen, sent, gaps }));
