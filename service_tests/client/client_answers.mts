// Answers that are no JSON, and labels that JavaScript would round (test_typescript.py). Its arguments are the URL of a
// server, and the ids of adaptations with long labels: whole numbers, and strings.
import { Innerloop, InnerloopError } from "innerloop-client";

declare const process: { argv: string[] };
const [, , url, numbers, strings] = process.argv as [string, string, string, string, string];
const client = new Innerloop(url);
const { http } = client;
const support = { inputs: [[-4], [-2], [0.5]], targets: [3.03, -3.64, 1.92] };
const body = { model: "sinusoid", support };
const queries = [[1], [2]];
const accept = (media: string) => ({ headers: { Accept: media } });
const { data: omniglot } = await http.GET("/models/{name}", { params: { path: { name: "omniglot" } } });
const image = omniglot!.inputs["example"] as string;
const { adaptation_id } = await client.adapt(body);
const byId = { params: { path: { id: adaptation_id } } };

const calls: Record<string, () => Promise<unknown>> = {
  weights: () => http.GET("/adaptations/{id}/weights", byId),
  events: () => http.POST("/adapt", { body, ...accept("text/event-stream") }),
  "events of adapt": () => new Innerloop(url, accept("text/event-stream")).adapt(body),
  csv: () => http.POST("/predict", { body: { adaptation_id, queries }, ...accept("text/csv") }),
  msgpack: () => http.POST("/predict", { body: { adaptation_id, queries }, ...accept("application/msgpack") }),
  lines: () =>
    http.POST("/predict", {
      body: { adaptation_id, queries },
      headers: { "Content-Type": "application/x-ndjson" },
      bodySerializer: (each) => `${JSON.stringify(each)}\n`,
    }),
  "a rounded label": () => client.adaptation(numbers),
  "a target": () => client.adapt({ model: "omniglot", support: { inputs: [image], targets: [2 ** 53] } }),
  "a declared label": () =>
    client.adapt({ model: "omniglot", support: { inputs: [image], targets: [1], labels: [1, 2 ** 62] } }),
  "an added target": () =>
    http.POST("/adaptations/{id}/support", {
      params: { path: { id: strings } },
      body: { inputs: [image], targets: [2 ** 53] },
    }),
};
const seen: Record<string, unknown> = {};
for (const [name, call] of Object.entries(calls)) {
  seen[name] = await call().then(
    () => "no error",
    (error) => (error instanceof InnerloopError ? [error.status, error.message] : `${error}`),
  );
}

const { data: weights } = await http.GET("/adaptations/{id}/weights", { ...byId, parseAs: "arrayBuffer" });
const { data: events } = await http.POST("/adapt", { body, ...accept("text/event-stream"), parseAs: "stream" });
const { data: table } = await http.POST("/predict", {
  body: { adaptation_id, queries },
  ...accept("text/csv"),
  parseAs: "text",
});
const { data: text } = await http.GET("/adaptations/{id}", { params: { path: { id: numbers } }, parseAs: "text" });
const { labels } = await client.adaptation(strings);
const { predictions } = await client.predict({ model: "sinusoid", queries: [[2 ** 60], [1]] });
const read = { weights: weights!.byteLength, events: await new Response(events).text(), table, text, labels, predictions };
console.log(JSON.stringify({ seen, read }));
