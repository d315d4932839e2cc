// Uses the client as a program of a user does (test_typescript.py). Its argument is the URL of a server.
import { Innerloop, InnerloopError, type Schemas } from "innerloop-client";

declare const process: { argv: string[] };
const url = process.argv[2]!;
const innerloop = new Innerloop(url);

const support: Schemas["Support"] = {
  inputs: [[-4], [-2], [0.5], [2], [4]],
  targets: [3.03, -3.64, 1.92, 3.64, -3.03],
};
const adapted = await innerloop.adapt({ model: "sinusoid", support, label: "pump 17" });
const stored = await innerloop.adaptation(adapted.adaptation_id);
const queries = [[-3], [1], [3]];
const answer = await innerloop.predict({ adaptation_id: adapted.adaptation_id, queries });
const candidates = [[-3], [1], [3]];
const proposed = await innerloop.propose({
  adaptation_id: adapted.adaptation_id, candidates, count: 2, goal: "maximize",
});
const first: number | null | undefined = adapted.losses[0];

const { data: model } = await innerloop.http.GET("/models/{name}", { params: { path: { name: "sinusoid" } } });
const encoder: unknown = model?.inputs["encoder"];
const { data: page } = await innerloop.http.GET("/adaptations", { params: { query: { label: "pump 17" } } });
const listed = page?.adaptations.map((each) => each.adaptation_id);

// rows of a table have any columns
const table = { model: "nothing", support: { rows: [{ age: 61, smoker: true, target: 1.5 }] } };
const problem = await innerloop.adapt(table).catch((error: unknown) => {
  if (!(error instanceof InnerloopError)) throw error;
  return { status: error.status, type: error.type, place: error.place, models: error.models, message: error.message };
});

// what a proxy answers that reaches no server
const html = { status: 502, statusText: "Bad Gateway", headers: { "Content-Type": "text/html" } };
const behind = new Innerloop(url, { fetch: async () => new Response("<h1>502</h1>", html) });
const gateway = await behind.predict({ model: "sinusoid", queries }).catch((error: InnerloopError) => ({ ...error }));

// @ts-expect-error: a misspelt field does not compile
const misspelt: Schemas["AdaptRequest"] = { model: "sinusoid", support, learning_rates: 0.01 };
void misspelt;
// @ts-expect-error: nor does a path that the server does not have
const nowhere = () => innerloop.http.GET("/adaptation");
void nowhere;

console.log(JSON.stringify({ adapted, stored, first, answer, proposed, encoder, listed, problem, gateway }));
