/** The error of every call that fails. */
import type { components } from "./schema.js";

export type Problem = components["schemas"]["Problem"];

/** A call failed. It has the fields of the server's problem, such as `status`, which is 0 if no server answered. */
export interface InnerloopError extends Problem {}
export class InnerloopError extends Error {
  constructor(problem: Problem, options?: ErrorOptions) {
    super(problem.detail, options);
    Object.assign(this, problem);
    this.name = "InnerloopError";
  }
}

/** The error of a call that no server has answered. */
export function failure(title: string, detail: string, cause?: unknown): InnerloopError {
  return new InnerloopError({ type: "about:blank", title, status: 0, detail }, { cause });
}
