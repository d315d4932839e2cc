/** Bodies in JSON. What JSON would leave out, or change without a word, is refused with its place. */
import { InnerloopError, reason, refused, shown } from "./errors.js";
import { classOf, emptied, isPlain, listed, unboxed } from "./values.js";

/** Where a value is: its key in a list or an object, and where that is. The body itself has no place. */
interface Place {
  key: string | number;
  parent: unknown;
  of: Place | undefined;
  depth: number;
}

/** The places of inputs, in which NaN is a missing value. */
const INPUTS = /^(support\.)?((inputs|rows|queries|candidates)\[|episodes\[\d+\]\.observations\[)/;
/** Of lists in lists. More are left to the server, which refuses them. */
const MAX_DEPTH = 100;
/** Half a character, which no text has that a server takes. It stands before a number that gets a point. */
const POINT = "\ud800";
const POINTED = /"\\ud800(-?\d{16,21}\.0)"(?!:)/g;

/** Refuse what is no object: plain JavaScript may pass anything, and nothing would be sent for `undefined`. */
export function checkBody(body: unknown): void {
  if (typeof body === "object" && body !== null && !Array.isArray(body)) return;
  const isAlone = body === undefined || body === null;
  const got = isAlone ? body : Array.isArray(body) ? "a list" : `a ${typeof body}`;
  throw refused(`body: expected an object, got ${got}`);
}

/**
 * A body in JSON. Typed arrays, such as Float32Array, become lists of numbers. NaN and a Date that is none become null
 * in inputs; elsewhere they are refused, as is infinity everywhere: JSON.stringify would make them null. Whole numbers
 * beyond 2^53 in lists are written as 9007199254740992.0, which the server refuses as a label.
 */
export function bodyOf(body: unknown): string {
  checkBody(body);
  let text: string | undefined;
  try {
    if (isPlain(body, MAX_DEPTH)) return JSON.stringify(body);
    text = JSON.stringify(plain(body));
  } catch (error) {
    if (error instanceof InnerloopError) throw error;
    throw refused(`body: expected values that JSON has, got others: ${reason(error).split("\n")[0]}`, error);
  }
  if (text === undefined) checkBody(text); // of a body whose `toJSON` returns undefined
  return text!.replace(POINTED, "$1");
}

/** What JSON.stringify writes of a value, with a POINT before some numbers. */
function plain(value: unknown, place?: Place): unknown {
  const depth = place?.depth ?? 0;
  if (typeof value === "number") return numberOf(value, place);
  if (depth > MAX_DEPTH) return value;
  for (let around = place; around; around = around.of) {
    if (around.parent !== value) continue;
    throw refused(`${nameOf(place)}: expected values, got the list or object that they are in`);
  }
  const inner = unwrapped(value, place?.key);
  if (typeof inner === "number") return numberOf(inner, place);
  const isNoDate = inner === null && classOf(value) === "Date" && Number.isNaN(Number(value));
  if (isNoDate) return missing(place, "a date", value);
  if (inner === undefined) return typeof place?.key === "number" ? missing(place, "a value", inner) : undefined;
  if (!Array.isArray(inner)) checkType(inner, place);
  if (typeof inner !== "object" || isPlain(inner, MAX_DEPTH)) return inner;
  const kept = (each: unknown, key: string | number) =>
    isPlain(each, MAX_DEPTH) ? each : plain(each, { key, parent: value, of: place, depth: depth + 1 });
  if (Array.isArray(inner)) return Array.from(inner).map(kept);
  return Object.fromEntries(Object.entries(inner as object).map(([name, each]) => [name, kept(each, name)]));
}

/** What JSON.stringify takes of a value, and the list of a typed array. A Buffer has a `toJSON` of its own. */
function unwrapped(value: unknown, key: string | number = ""): unknown {
  const list = listed(value);
  if (list) return list;
  const { toJSON } = (value ?? {}) as { toJSON?: unknown };
  const own: unknown = typeof toJSON === "function" ? toJSON.call(value, String(key)) : value;
  return listed(own) ?? unboxed(own);
}

/** A number in JSON. JavaScript may have rounded whole numbers beyond 2^53: a point says that they are no labels. */
function numberOf(value: number, place: Place | undefined): unknown {
  if (!Number.isFinite(value)) return missing(place, "a finite number", value);
  const isWhole = Math.abs(value) > Number.MAX_SAFE_INTEGER && Math.abs(value) < 1e21; // larger ones have an exponent
  return isWhole && isInList(place) ? `${POINT}${value}.0` : value;
}

function isInList(place: Place | undefined): boolean {
  return place !== undefined && (typeof place.key === "number" || isInList(place.of));
}

/** The null of a missing value. Throws where it is none. */
function missing(place: Place | undefined, expected: string, got: unknown): null {
  const name = nameOf(place);
  if (INPUTS.test(name) && (got === undefined || Number.isNaN(Number(got)))) return null;
  throw refused(`${name}: expected ${expected}, got ${shown(got)}`);
}

/** Refuse a value that JSON refuses or leaves out, or of which it keeps nothing. */
function checkType(value: unknown, place: Place | undefined): void {
  if (typeof value === "bigint" || classOf(value) === "BigInt") {
    const fix = "send Number(value), or a string if it is a label";
    throw refused(`${nameOf(place)}: expected a number, got ${shown(value)}n: ${fix}`);
  }
  if (typeof value === "function" || typeof value === "symbol") {
    throw refused(`${nameOf(place)}: expected a value, got a ${typeof value}`);
  }
  const got = typeof value === "object" && value !== null && emptied(value);
  if (got) throw refused(`${nameOf(place)}: expected a value, a list or an object, got ${got}`);
}

/** A place, as the server names it. */
function nameOf(place: Place | undefined): string {
  let name = "";
  for (let each = place; each; each = each.of) {
    const { key } = each;
    const isField = typeof key === "string" && /^\w{1,100}$/.test(key);
    name = (isField ? `${each.of ? "." : ""}${key}` : `[${shown(key)}]`) + name;
  }
  return name || "body";
}
