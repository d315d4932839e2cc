/** The error of every call that fails. */
import type { components } from "./schema.js";

export type Problem = components["schemas"]["Problem"];

/** A call failed. It has the fields of the server's problem, such as `status`, which is 0 if no server answered. */
export interface InnerloopError extends Problem {}
export class InnerloopError extends Error {
  constructor(problem: Problem, options?: ErrorOptions) {
    super(problem.detail || problem.title || `status ${problem.status}`, options);
    const fields = Object.entries(problem).filter(([name]) => !(name in this)); // a problem cannot replace `message`
    Object.assign(this, Object.fromEntries(fields));
    this.name = "InnerloopError";
  }
}

/** Why something has failed, whatever was thrown. */
export function reason(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}

/** The error of a call that no server has answered. */
export function failure(title: string, detail: string, cause?: unknown): InnerloopError {
  return new InnerloopError({ type: "about:blank", title, status: 0, detail }, { cause });
}

/** The error of an argument that cannot be sent. */
export function refused(detail: string, cause?: unknown): InnerloopError {
  return failure("Invalid request", detail, cause);
}
