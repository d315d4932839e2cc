/** The error of every call that fails. */
import type { components } from "./schema.js";

/** Characters. */
const MAX_SHOWN = 200;

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
  return error instanceof Error ? error.message : shown(error, false);
}

/** A value as errors show it, cut if it is long. isQuoted: whether a string is in quotes */
export function shown(value: unknown, isQuoted = true): string {
  let text: string;
  try {
    text = String(value);
  } catch {
    text = "another object"; // whose `toString` fails, or which has none
  }
  const cut = text.length <= MAX_SHOWN ? text : `${text.slice(0, MAX_SHOWN)}...`;
  return isQuoted && typeof value === "string" ? JSON.stringify(cut) : cut;
}

/** The error of a call that no server has answered. */
export function failure(title: string, detail: string, cause?: unknown): InnerloopError {
  return new InnerloopError({ type: "about:blank", title, status: 0, detail }, { cause });
}

/** The error of an argument that cannot be sent. */
export function refused(detail: string, cause?: unknown): InnerloopError {
  return failure("Invalid request", detail, cause);
}
