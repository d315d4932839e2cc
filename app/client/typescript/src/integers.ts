/** Whole numbers that JavaScript may round: their literals have at least 16 digits, and no point or exponent. */
const LONG = /[[:,\s](-?\d{16,})\s*(?=[,\]}])/g;

/** The first whole number in a text of JSON that JSON.parse would round. */
export function roundedInteger(text: string): string | undefined {
  for (const digits of longIntegers(text)) {
    if (!Number.isFinite(Number(digits)) || BigInt(digits) !== BigInt(Number(digits))) return digits;
  }
  return undefined;
}

/** The long whole numbers of a text of JSON, outside of strings. */
function* longIntegers(text: string): Generator<string> {
  let quotes = 0;
  let from = 0;
  for (const match of text.matchAll(LONG)) {
    const before = text.slice(from, match.index);
    quotes += before.replace(/\\./g, "").split('"').length - 1;
    from = match.index;
    if (quotes % 2 === 0) yield match[1]!;
  }
}
