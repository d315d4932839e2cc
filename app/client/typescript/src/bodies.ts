/** Bodies in JSON. What JSON would leave out, or change without a word, is refused with its place. */
import { reason, refused } from "./errors.js";
import { withPoints } from "./integers.js";

/** The places of inputs, in which NaN is a missing value. */
const INPUTS = /^(support\.)?((inputs|rows|queries|candidates)\[|episodes\[\d+\]\.observations\[)/;
/** Of lists in lists. More are left to the server, which refuses them. */
const MAX_DEPTH = 100;
/** What to send instead of objects that JSON writes as {}, by the names of their classes. */
const INSTEAD = new Map([
  ["Set", "send Array.from(set)"],
  ["Map", "send Object.fromEntries(map)"],
  ["ArrayBuffer", "send a typed array, such as new Float32Array(buffer)"],
  ["SharedArrayBuffer", "send a typed array, such as new Float32Array(buffer)"],
  ["DataView", "send a typed array, such as Float32Array"],
  ["Promise", "await it"],
]);

/** Refuse what is no object: plain JavaScript may pass anything, and nothing would be sent for `undefined`. */
export function checkBody(body: unknown): void {
  if (typeof body === "object" && body !== null && !Array.isArray(body)) return;
  const isAlone = body === undefined || body === null;
  throw refused(`body: expected an object, got ${isAlone ? body : Array.isArray(body) ? "a list" : `a ${typeof body}`}`);
}

/**
 * A body in JSON. Typed arrays, such as Float32Array, become lists of numbers. NaN and a Date that is none become null
 * in inputs; elsewhere they are refused, as is infinity everywhere: JSON.stringify would make them null. Whole numbers
 * beyond 2^53 are written as 9007199254740992.0, which the server refuses as a label.
 */
export function bodyOf(body: unknown): string {
  checkBody(body);
  let mayBeWrong = false;
  let text: string;
  try {
    text = JSON.stringify(body, function (this: Record<string, unknown>, key, value) {
      const own = this[key];
      mayBeWrong ||= becomesNull(own) || becomesNull(value) || (Array.isArray(this) && value === undefined);
      mayBeWrong ||= wrongType(value) !== undefined;
      return listed(own) ?? listed(value) ?? value;
    });
  } catch (error) {
    check(body, "", []);
    throw refused(`body: expected values that JSON has, got others: ${reason(error).split("\n")[0]}`, error);
  }
  if (mayBeWrong) check(body, "", []);
  return text && withPoints(text); // JSON has no text for a body whose `toJSON` returns undefined
}

/** The numbers of a typed array; undefined for anything else. A Buffer of Node.js has a `toJSON` of its own. */
function listed(value: unknown): unknown[] | undefined {
  const isTyped = ArrayBuffer.isView(value) && Symbol.iterator in value;
  return isTyped ? Array.from(value as unknown as Iterable<unknown>) : undefined;
}

/** Whether JSON has null for a number or a Date. */
function becomesNull(value: unknown): value is number | Number | Date {
  const isNumber = typeof value === "number" || value instanceof Number || value instanceof Date;
  return isNumber && !Number.isFinite(value.valueOf());
}

/** What is wrong with a value that JSON refuses or leaves out, or of which it keeps nothing. */
function wrongType(value: unknown): string | undefined {
  if (typeof value === "bigint" || value instanceof BigInt) {
    return `expected a number, got ${value}n: send Number(value), or a string if it is a label`;
  }
  if (typeof value === "function" || typeof value === "symbol") return `expected a value, got a ${typeof value}`;
  if (typeof value !== "object" || value === null || !isEmptied(value)) return undefined;
  const name = value.constructor?.name || "another object";
  return `expected a value, a list or an object, got ${name}: ${INSTEAD.get(name) ?? "send a plain object or a list"}`;
}

/** Whether JSON has {} for an object that may have more than that: its values are no fields of its own. */
function isEmptied(value: object): boolean {
  if (listed(value) || Array.isArray(value)) return false;
  if (value instanceof Number || value instanceof String || value instanceof Boolean) return false;
  if (value instanceof Map || value instanceof Set) return true;
  const prototype: unknown = Object.getPrototypeOf(value);
  const isPlain = prototype === null || Object.getPrototypeOf(prototype) === null;
  return !isPlain && Object.keys(value).length === 0;
}

/** Throw for the first value that JSON does not have, unless it is a missing input. around: the objects it is in */
function check(value: unknown, place: string, around: readonly unknown[]): void {
  if (around.length > MAX_DEPTH) return;
  if (typeof value === "object" && around.includes(value)) {
    throw refused(`${place}: expected values, got the list or object that they are in`);
  }
  const { toJSON } = (value ?? {}) as { toJSON?: unknown };
  const plain = listed(value) ?? (typeof toJSON === "function" ? toJSON.call(value) : value);
  const inner = listed(plain) ?? plain;
  if (becomesNull(inner) || (becomesNull(value) && inner === null)) {
    const wrong = becomesNull(inner) ? inner : (value as Date);
    if (Number.isNaN(wrong.valueOf()) && INPUTS.test(place)) return;
    const expected = wrong instanceof Date ? "a date" : "a finite number";
    throw refused(`${place || "body"}: expected ${expected}, got ${wrong}`);
  }
  const wrong = wrongType(inner);
  if (wrong !== undefined) throw refused(`${place || "body"}: ${wrong}`);
  if (place.endsWith("]") && inner === undefined && !INPUTS.test(place)) {
    throw refused(`${place}: expected a value, got undefined`);
  }
  const outer = [...around, value];
  if (Array.isArray(inner)) Array.from(inner, (each, index) => check(each, `${place}[${index}]`, outer));
  else if (typeof inner === "object" && inner !== null) {
    for (const [name, each] of Object.entries(inner)) check(each, inside(place, name), outer);
  }
}

/** The place of a field, as the server names it. */
function inside(place: string, name: string): string {
  if (!/^\w+$/.test(name)) return `${place}[${JSON.stringify(name)}]`;
  return place ? `${place}.${name}` : name;
}
