/** A client of Innerloop: adapt a model to a few examples, then predict with it. */
import createClient, { type Client, type ClientOptions } from "openapi-fetch";
import { checkAnswer, type Field, foreign, unanswered } from "./answers.js";
import { bodyOf, checkBody } from "./bodies.js";
import { InnerloopError } from "./errors.js";
import { checkId, checkKind, checkOptions, checkTimeout, checkUrl } from "./requests.js";
import type { components, paths } from "./schema.js";

export { InnerloopError };
export type { components, operations, paths } from "./schema.js";

/** The bodies of requests and responses, by name. */
export type Schemas = components["schemas"];

/** The options of openapi-fetch, such as `headers` and `fetch`, and the most seconds that a request takes. */
export interface Options extends ClientOptions {
  timeout?: number;
}

/** What middleware gets of a call. */
interface Call {
  request: Request;
  options: object;
}

export class Innerloop {
  /** Sends requests to all endpoints, such as `http.GET("/models")`. The response is in `data`. */
  readonly http: Client<paths, "application/json">;
  readonly #url: string;

  constructor(url = "http://127.0.0.1:8000", given: Options = {}) {
    checkKind("options", given, "object");
    const { timeout = 60, ...options } = given;
    this.#url = checkUrl(url);
    const milliseconds = Math.ceil(checkTimeout(timeout) * 1000);
    checkOptions(options);
    // "manual": the server that a redirect names would get the examples, and the API key
    const fixed = { baseUrl: this.#url, bodySerializer: bodyOf, redirect: "manual" } as const;
    this.http = createClient<paths, "application/json">({ ...options, ...fixed });
    // by the options of a call: middleware may replace its requests, whose signals would be lost with them
    const limits = new WeakMap<object, { limit: AbortSignal; requests: Request[] }>();
    const failed = ({ request: { signal }, options }: Call, error: unknown): unknown => {
      const isTheirs = signal.aborted && signal.reason !== limits.get(options)?.limit.reason;
      return isTheirs ? signal.reason : unanswered(this.#url, timeout, error);
    };
    this.http.use({
      onRequest: ({ request, options }) => {
        const limit = AbortSignal.timeout(milliseconds);
        const limited = new Request(request, { signal: AbortSignal.any([request.signal, limit]) });
        limits.set(options, { limit, requests: [request, limited] });
        return limited;
      },
      onError: (call) => {
        throw failed(call, call.error); // a reason of the caller, which may be no Error, could not be returned
      },
      onResponse: (call) =>
        checkAnswer(call.request, call.response, call.options.parseAs === "json", (error) => failed(call, error)),
    });
  }

  /** Adapt a model to a support set. Predict with the `adaptation_id` of the response. */
  async adapt(body: Schemas["AdaptRequest"]): Promise<Schemas["AdaptResponse"]> {
    checkBody(body);
    const answer = await this.http.POST("/adapt", { body });
    return this.#ours(answer, "adaptation_id") as Schemas["AdaptResponse"]; // the other type answers many lines at once
  }

  /** Predict queries with an adaptation, or with a `model` and a `support` set that is not stored. */
  async predict(body: Schemas["PredictRequest"]): Promise<Schemas["PredictResponse"]> {
    checkBody(body);
    const answer = await this.http.POST("/predict", { body });
    return this.#ours(answer, "predictions");
  }

  /** Propose which of many candidates to measure or label next. Nothing is stored. */
  async propose(body: Schemas["ProposeRequest"]): Promise<Schemas["ProposeResponse"]> {
    checkBody(body);
    const answer = await this.http.POST("/propose", { body });
    return this.#ours(answer, "proposals");
  }

  /** What the server has stored of an adaptation. */
  async adaptation(id: string): Promise<Schemas["AdaptResponse"]> {
    const answer = await this.http.GET("/adaptations/{id}", { params: { path: { id: checkId(id) } } });
    return this.#ours(answer, "adaptation_id");
  }

  /** An answer that has a field, as those of Innerloop do. */
  #ours<T>({ data, response }: { data?: T; response: Response }, field: Field): T {
    const value = (data as Record<string, unknown> | undefined)?.[field];
    if (field === "adaptation_id" ? typeof value === "string" : Array.isArray(value)) return data as T;
    throw foreign(this.#url, `one without \`${field}\``, response.status);
  }
}
