/** What values JavaScript has that JSON has not. Values of another realm, such as a frame's, have other classes. */
import { shown } from "./errors.js";

/** What to send instead of objects that JSON writes as {}, by the names of their classes. */
const INSTEAD = new Map([
  ["Set", "send Array.from(set)"],
  ["Map", "send Object.fromEntries(map)"],
  ["ArrayBuffer", "send a typed array, such as new Float32Array(buffer)"],
  ["SharedArrayBuffer", "send a typed array, such as new Float32Array(buffer)"],
  ["DataView", "send a typed array, such as Float32Array"],
  ["Promise", "await it"],
]);

/** Whether JSON.stringify keeps all of a value. depth: the most lists and objects in one another */
export function isPlain(value: unknown, depth: number): boolean {
  if (typeof value === "number") return Math.abs(value) <= Number.MAX_SAFE_INTEGER; // false for NaN
  if (typeof value !== "object") return typeof value === "string" || typeof value === "boolean";
  if (value === null) return true;
  if (depth === 0 || "toJSON" in value) return false;
  if (Array.isArray(value)) {
    for (let index = 0; index < value.length; index++) if (!isPlain(value[index], depth - 1)) return false;
    return true;
  }
  if (!isRecord(value)) return false;
  const record = value as Record<string, unknown>;
  for (const name of Object.keys(value)) if (!isPlain(record[name], depth - 1)) return false;
  return true;
}

/** The numbers of a typed array; undefined for anything else. */
export function listed(value: unknown): unknown[] | undefined {
  if (!ArrayBuffer.isView(value) || !(Symbol.iterator in value)) return undefined;
  const { length } = value as Uint8Array;
  const list = new Array<unknown>(length);
  for (let index = 0; index < length; index++) list[index] = (value as Uint8Array)[index]; // Array.from is slow
  return list;
}

/** The class of a value of any realm, such as Date. */
export function classOf(value: unknown): string {
  return Object.prototype.toString.call(value).slice("[object ".length, -1);
}

/** The value of a Number, a String or a Boolean that is an object. Others stay as they are. */
export function unboxed(value: unknown): unknown {
  if (typeof value !== "object" || value === null || Symbol.toStringTag in value) return value;
  const name = classOf(value);
  if (name === "Boolean") return Boolean(value.valueOf());
  return name === "Number" ? Number(value) : name === "String" ? String(value) : value;
}

/** The class and the fix of an object that JSON writes as {}: what it has are no fields of its own. */
export function emptied(value: object): string | undefined {
  const kind = classOf(value);
  const isEmpty = kind === "Map" || kind === "Set" || (!isRecord(value) && Object.keys(value).length === 0);
  if (Array.isArray(value) || !isEmpty) return undefined;
  const fix = INSTEAD.get(kind) ?? "send a plain object or a list";
  return `${shown(value.constructor?.name || "another object", false)}: ${fix}`;
}

/** Whether an object is of no class. */
function isRecord(value: object): boolean {
  const prototype: unknown = Object.getPrototypeOf(value);
  return prototype === null || Object.getPrototypeOf(prototype) === null;
}
