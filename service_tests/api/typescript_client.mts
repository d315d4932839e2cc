// A client with the types that openapi-typescript generates (test_generated_clients.py): it adapts, predicts and reads a
// model and a problem. Its argument is the URL of a server.
import type { components, operations } from "./api.js";

type Schemas = components["schemas"];
type Adapt = operations["adapt"];
type Predict = operations["predict"];
type GetModel = operations["getModel"];

declare const process: { argv: string[] };
const url = process.argv[2];

async function call<Answer>(path: string, body?: unknown): Promise<Answer> {
  const sent = { method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify(body) };
  const response = await fetch(url + path, body === undefined ? {} : sent);
  if (!response.ok) throw (await response.json()) as Schemas["Problem"];
  return (await response.json()) as Answer;
}

const support: Schemas["Support"] = {
  inputs: [[-4], [-2], [0.5], [2], [4]],
  targets: [3.03, -3.64, 1.92, 3.64, -3.03],
};
const request: Adapt["requestBody"]["content"]["application/json"] = { model: "sinusoid", support };
const adaptation = await call<Adapt["responses"][201]["content"]["application/json"]>("/adapt", request);

const queries: Predict["requestBody"]["content"]["application/json"] = {
  adaptation_id: adaptation.adaptation_id,
  queries: [[-3], [1], [3]],
};
const answer = await call<Predict["responses"][200]["content"]["application/json"]>("/predict", queries);

const model = await call<GetModel["responses"][200]["content"]["application/json"]>("/models/sinusoid");

// rows of a table have any columns
const table: Schemas["AdaptRequest"] = { model: "nothing", support: { rows: [{ age: 61, smoker: true, target: 1.5 }] } };
const problem = await call<never>("/adapt", table).catch((error: Schemas["Problem"]) => error);

// @ts-expect-error: a misspelt field does not compile
const misspelt: Schemas["AdaptRequest"] = { model: "sinusoid", support, learning_rates: 0.01 };
void misspelt;

const first: number | null = adaptation.losses[0];
const encoder: unknown = model.inputs["encoder"];
console.log(JSON.stringify({ first, predictions: answer.predictions, encoder, problem }));
