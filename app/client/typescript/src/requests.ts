/** What a request needs besides its body: anything that cannot be sent is refused before. */
import { type ClientOptions, mergeHeaders } from "openapi-fetch";
import { reason, refused, shown } from "./errors.js";

const DAY_S = 86_400;

/** The URL of a server, without a slash at its end. */
export function checkUrl(text: string): string {
  let url: URL;
  try {
    url = new URL(text, globalThis.location?.href);
  } catch (error) {
    throw refused(`url: expected a URL such as http://127.0.0.1:8000, got ${shown(text)}`, error);
  }
  if (!["http:", "https:"].includes(url.protocol) || url.search || url.hash) {
    throw refused(`url: expected http:// or https:// and no ? or #, got ${shown(text)}`);
  }
  if (url.username || url.password) throw refused("url: send the user and the password in `headers` instead");
  return url.href.replace(/\/+$/, "");
}

/** The seconds that a request may take. */
export function checkTimeout(seconds: number): number {
  if (typeof seconds === "number" && seconds > 0 && seconds <= DAY_S) return seconds;
  throw refused(`timeout: expected seconds, from above 0 to ${DAY_S}, got ${shown(seconds)}`);
}

/** Refuse options that the client, openapi-fetch or fetch cannot use: plain JavaScript may pass anything. */
export function checkOptions(options: ClientOptions): void {
  const { fetch, querySerializer, pathSerializer, headers, requestInitExt, ...init } = options;
  checkKind("fetch", fetch, "function");
  checkKind("pathSerializer", pathSerializer, "function");
  checkKind("headers", headers ?? undefined, "object");
  checkKind("requestInitExt", requestInitExt, "object");
  if (typeof querySerializer !== "function") checkKind("querySerializer", querySerializer, "object");
  checkHeaders(headers);
  const error = refusal(init);
  if (error === undefined) return;
  const [name] = Object.entries(init).find(([name, value]) => refusal({ [name]: value })) ?? ["options"];
  throw refused(`${name}: expected what fetch takes: ${reason(error)}`, error);
}

/** Refuse an option of another kind. kind: function or object */
export function checkKind(name: string, value: unknown, kind: string): void {
  if (value === undefined || (typeof value === kind && value !== null && !Array.isArray(value))) return;
  const got = Array.isArray(value) ? "a list" : shown(value);
  throw refused(`${name}: expected ${kind === "object" ? "an" : "a"} ${kind}, got ${got}`);
}

/** Why fetch refuses options of a request. */
function refusal(options: ClientOptions): unknown {
  const { baseUrl, bodySerializer, redirect, body, Request: Custom = Request, ...init } = options;
  try {
    new Custom("http://127.0.0.1", { ...init, method: init.method ?? "POST" } as RequestInit);
    return undefined;
  } catch (error) {
    return error;
  }
}

/** Refuse headers that HTTP does not allow. */
function checkHeaders(headers: ClientOptions["headers"]): void {
  try {
    mergeHeaders(headers);
  } catch (error) {
    throw refused(`headers: expected names and values that HTTP allows: ${reason(error)}`, error);
  }
}

/** An id that is one part of a path. */
export function checkId(id: string): string {
  if (typeof id === "string" && /^[\w~-][\w.~-]*$/.test(id)) return id;
  throw refused(`id: expected the \`adaptation_id\` of an adaptation, got ${shown(id)}`);
}
