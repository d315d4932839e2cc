/** What is sent: anything that cannot be sent is refused before. */
import { type ClientOptions, mergeHeaders } from "openapi-fetch";
import { failure, type InnerloopError, reason } from "./errors.js";
import { withPoints } from "./integers.js";

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

/** Refuse headers that HTTP does not allow. */
export function checkHeaders(headers: ClientOptions["headers"]): void {
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

/** The places of inputs, in which NaN is a missing value. */
const INPUTS = /^(support\.)?((inputs|rows|queries|candidates)\[|episodes\[\d+\]\.observations\[)/;

/**
 * A body in JSON. Typed arrays, such as Float32Array, become lists of numbers. NaN and a Date that is none become null
 * in inputs; elsewhere they are refused, as is infinity everywhere: JSON.stringify would make them null. Whole numbers
 * beyond 2^53 are written as 9007199254740992.0, which the server refuses as a label.
 */
export function bodyOf(body: unknown): string {
  let hasNulls = false;
  let text: string;
  try {
    text = JSON.stringify(body, function (this: Record<string, unknown>, key, value) {
      hasNulls ||= becomesNull(this[key]) || becomesNull(value) || (Array.isArray(this) && isNothing(value));
      return listed(value);
    });
  } catch (error) {
    throw refused(`body: expected values that JSON has, got others: ${reason(error)}`, error);
  }
  if (hasNulls) checkNulls(body, "");
  return text && withPoints(text); // JSON has no text for `undefined`
}

function listed(value: unknown): unknown {
  return ArrayBuffer.isView(value) && Symbol.iterator in value ? Array.from(value as Iterable<unknown>) : value;
}

/** Whether JSON has null for a number or a Date. */
function becomesNull(value: unknown): value is number | Number | Date {
  const isNumber = typeof value === "number" || value instanceof Number || value instanceof Date;
  return isNumber && !Number.isFinite(value.valueOf());
}

/** Whether a value is left out of an object, and becomes null in a list. */
function isNothing(value: unknown): boolean {
  return value === undefined || typeof value === "function" || typeof value === "symbol";
}

/** Throw for the first value that becomes null, unless it is a missing input. */
function checkNulls(value: unknown, place: string): void {
  const { toJSON } = (value ?? {}) as { toJSON?: unknown };
  const plain = listed(typeof toJSON === "function" ? toJSON.call(value) : value);
  if (becomesNull(plain) || (becomesNull(value) && plain === null)) {
    const wrong = becomesNull(plain) ? plain : (value as Date);
    if (Number.isNaN(wrong.valueOf()) && INPUTS.test(place)) return;
    const expected = wrong instanceof Date ? "a date" : "a finite number";
    throw refused(`${place || "body"}: expected ${expected}, got ${wrong}`);
  }
  if (place.endsWith("]") && isNothing(plain) && !INPUTS.test(place)) {
    throw refused(`${place}: expected a value, got ${typeof plain}`);
  }
  if (Array.isArray(plain)) Array.from(plain, (each, index) => checkNulls(each, `${place}[${index}]`));
  else if (typeof plain === "object" && plain !== null) {
    for (const [name, each] of Object.entries(plain)) checkNulls(each, inside(place, name));
  }
}

/** The place of a field, as the server names it. */
function inside(place: string, name: string): string {
  if (!/^\w+$/.test(name)) return `${place}[${JSON.stringify(name)}]`;
  return place ? `${place}.${name}` : name;
}

function shown(value: unknown): string {
  return typeof value === "string" ? JSON.stringify(value) : String(value);
}

function refused(detail: string, cause?: unknown): InnerloopError {
  return failure("Invalid request", detail, cause);
}
