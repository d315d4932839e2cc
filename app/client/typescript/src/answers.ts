/** What comes back: an answer of Innerloop, or an error that says what came instead. */
import { failure, InnerloopError, type Problem } from "./errors.js";

export type Field = "adaptation_id" | "predictions" | "proposals";
const SHOWN = 200;

/** The error of a request without an answer. A request that you abort without a reason has an AbortError. */
export function unanswered(url: string, seconds: number, error: unknown): Error {
  const { name, message, cause } = error instanceof Error ? error : new Error(String(error));
  if (name === "AbortError" || error instanceof InnerloopError) return error as Error;
  if (name === "TimeoutError") {
    const fix = "set a larger `timeout`, or check that the server runs";
    return failure("No answer", `${url} did not answer within ${seconds} s: ${fix}`, error);
  }
  const reason = (cause as Error | undefined)?.message || message;
  return failure("No answer", `${url} does not answer (${reason}): check that the server runs, and the URL`, error);
}

/** The error of an answer from another server. */
export function foreign(url: string, got: string, status = 0, title = "Unexpected answer"): InnerloopError {
  const detail = `${url}: expected an answer from Innerloop, got ${got}: check the URL, and the proxy if there is one`;
  return new InnerloopError({ type: "about:blank", title, status, detail });
}

/** Read an answer whose body is JSON, and throw the error that it describes. Other answers stay as they are. */
export async function checkAnswer(
  request: Request,
  response: Response,
  isJson: boolean,
  unread: (error: unknown) => Error,
): Promise<Response | undefined> {
  const { ok, status, statusText, headers } = response;
  if (ok && (!isJson || status === 204 || request.method === "HEAD")) return undefined;
  const text = await response.text().catch((error: unknown) => {
    throw unread(error);
  });
  const body = parse(text);
  if (ok && typeof body === "object" && body !== null) return new Response(text, { status, statusText, headers });
  if (!ok && isProblem(body)) throw new InnerloopError(body);
  const got = `status ${status} with ${text ? JSON.stringify(text.slice(0, SHOWN)) : "nothing"}`;
  throw foreign(request.url, got, status, statusText || "Unexpected answer");
}

function parse(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

function isProblem(body: unknown): body is Problem {
  const problem = body as Partial<Problem> | null | undefined;
  return typeof problem?.detail === "string" && typeof problem.status === "number" && problem.status >= 400;
}
