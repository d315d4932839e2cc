/** What comes back: an answer of Innerloop, or an error that says what came instead. */
import { failure, InnerloopError, type Problem, reason as why, refused, shown } from "./errors.js";
import { roundedInteger } from "./integers.js";

export type Field = "adaptation_id" | "predictions" | "proposals";
/** What a Response may have as its status text. A server may send other bytes. */
const STATUS_TEXT = /^[\t\x20-\x7e\x80-\xff]*$/;

/** The media types of Innerloop besides JSON, each with the `parseAs` that reads it. */
const READERS = new Map([
  ["application/octet-stream", "arrayBuffer"],
  ["application/msgpack", "arrayBuffer"],
  ["application/x-ndjson", "stream"],
  ["text/event-stream", "stream"],
  ["text/csv", "text"],
]);

/** The error of a request without an answer, unless the caller has aborted it. */
export function unanswered(url: string, seconds: number, error: unknown): Error {
  const { name, message, cause } = error instanceof Error ? error : new Error(why(error));
  if (name === "AbortError" || error instanceof InnerloopError) return error as Error;
  if (name === "TimeoutError") {
    const fix = "set a larger `timeout`, or check that the server runs";
    return failure("No answer", `${url} did not answer within ${seconds} s: ${fix}`, error);
  }
  const reason = (cause as Error | undefined)?.message || message;
  return failure("No answer", `${url} does not answer (${reason}): check that the server runs, and the URL`, error);
}

/** The error of an answer from another server. */
export function foreign(url: string, got: string, status: number, title = "Unexpected answer"): InnerloopError {
  const detail = `${url}: expected an answer from Innerloop, got ${got}: check the URL, and the proxy if there is one`;
  return new InnerloopError({ type: "about:blank", title, status, detail });
}

/** Read an answer whose body is JSON, and throw the error that it describes. Other answers stay as they are. */
export async function checkAnswer(
  request: Request,
  response: Response,
  isJson: boolean,
  unread: (error: unknown) => unknown,
): Promise<Response | undefined> {
  if (typeof response?.text !== "function") {
    throw refused(`fetch: expected one that answers a Response, got ${shown(response)}`);
  }
  const { ok, status, statusText, headers } = response;
  if (ok && (!isJson || status === 204 || request.method === "HEAD")) return undefined;
  if (ok) await checkMedia(request.url, response);
  const text = await response.text().catch((error: unknown) => {
    throw unread(error);
  });
  const body = parse(text);
  if (ok && typeof body === "object" && body !== null) {
    checkIntegers(request.url, status, text);
    return new Response(text, { status, statusText: STATUS_TEXT.test(statusText) ? statusText : "", headers });
  }
  if (!ok && isProblem(body)) throw new InnerloopError(body);
  const got = `status ${status} with ${text ? shown(text) : "nothing"}`;
  throw foreign(request.url, got, status, statusText || "Unexpected answer");
}

/** Refuse an answer that Innerloop does not write as JSON. */
async function checkMedia(url: string, { status, headers, body }: Response): Promise<void> {
  const media = headers.get("content-type")?.split(";")[0]!.trim().toLowerCase() ?? "";
  const reader = READERS.get(media);
  if (reader === undefined) return;
  await body?.cancel().catch(() => undefined); // nobody reads it
  const fix = `to read it, set \`parseAs: "${reader}"\` in the call of \`http\``;
  throw unreadable(`${url}: expected JSON, got ${media}: ${fix}`, status);
}

/** Refuse an answer with a whole number that JavaScript would round: two labels could become one. */
function checkIntegers(url: string, status: number, text: string): void {
  const rounded = roundedInteger(text);
  if (rounded === undefined) return;
  const fix = "send labels as strings, or set `parseAs: \"text\"` in the call of `http`";
  const got = `${shown(rounded, false)}, which it rounds`;
  throw unreadable(`${url}: expected whole numbers that JavaScript has, got ${got}: ${fix}`, status);
}

function unreadable(detail: string, status: number): InnerloopError {
  return new InnerloopError({ type: "about:blank", title: "Unreadable answer", status, detail });
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
