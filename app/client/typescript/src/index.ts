/** A client of Innerloop: adapt a model to a few examples, then predict with it. */
import createClient, { type Client, type ClientOptions } from "openapi-fetch";
import type { components, paths } from "./schema.js";

export type { components, operations, paths } from "./schema.js";

/** The bodies of requests and responses, by name. */
export type Schemas = components["schemas"];
type Problem = Schemas["Problem"];

/** The server refused a request. It has the fields of the problem, such as `status` and `place`. */
export interface InnerloopError extends Problem {}
export class InnerloopError extends Error {
  constructor(problem: Problem) {
    super(problem.detail);
    Object.assign(this, problem);
    this.name = "InnerloopError";
  }
}

export class Innerloop {
  /** Sends requests to all endpoints, such as `http.GET("/models")`. The response is in `data`. */
  readonly http: Client<paths, "application/json">;

  /** `options` are those of openapi-fetch, such as `headers` and `fetch`. */
  constructor(url = "http://127.0.0.1:8000", options: ClientOptions = {}) {
    this.http = createClient<paths, "application/json">({ ...options, baseUrl: url });
    this.http.use({ onResponse: ({ response }) => throwProblem(response) });
  }

  /** Adapt a model to a support set. Predict with the `adaptation_id` of the response. */
  async adapt(body: Schemas["AdaptRequest"]): Promise<Schemas["AdaptResponse"]> {
    const { data } = await this.http.POST("/adapt", { body });
    return data as Schemas["AdaptResponse"]; // the other type of the document answers many lines at once
  }

  /** Predict queries with an adaptation, or with a `model` and a `support` set that is not stored. */
  async predict(body: Schemas["PredictRequest"]): Promise<Schemas["PredictResponse"]> {
    const { data } = await this.http.POST("/predict", { body });
    return data!;
  }

  /** What the server has stored of an adaptation. */
  async adaptation(id: string): Promise<Schemas["AdaptResponse"]> {
    const { data } = await this.http.GET("/adaptations/{id}", { params: { path: { id } } });
    return data!;
  }
}

async function throwProblem(response: Response): Promise<void> {
  if (response.ok) return;
  const text = await response.text();
  if (response.headers.get("content-type")?.startsWith("application/problem+json")) {
    throw new InnerloopError(JSON.parse(text) as Problem);
  }
  // not from Innerloop, but from a proxy before it
  const { status, statusText } = response;
  throw new InnerloopError({ type: "about:blank", title: statusText, status, detail: text || statusText });
}
