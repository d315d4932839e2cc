/** Whole numbers that JavaScript may round: their literals in JSON have at least 16 digits, and no point or exponent. */
const LONG = /[[:,\s](-?\d{16,})\s*(?=[,\]}])/g;

/** The first whole number in a text of JSON that JSON.parse would round. */
export function roundedInteger(text: string): string | undefined {
  for (const { digits } of longIntegers(text)) {
    if (BigInt(digits) !== BigInt(Number(digits))) return digits;
  }
  return undefined;
}

/**
 * A text of JSON whose whole numbers beyond 2^53 have a point. JavaScript may have rounded them. A server takes them as
 * numbers, but refuses them as labels, where rounding would make one class of two.
 */
export function withPoints(text: string): string {
  let result = "";
  let from = 0;
  for (const { digits, end } of longIntegers(text)) {
    if (Number.isSafeInteger(Number(digits))) continue;
    result += `${text.slice(from, end)}.0`;
    from = end;
  }
  return result + text.slice(from);
}

/** The long whole numbers of a text of JSON, outside of strings, each with where it ends. */
function* longIntegers(text: string): Generator<{ digits: string; end: number }> {
  let quotes = 0;
  let from = 0;
  for (const match of text.matchAll(LONG)) {
    const digits = match[1]!;
    const before = text.slice(from, match.index);
    quotes += before.replace(/\\./g, "").split('"').length - 1;
    from = match.index;
    if (quotes % 2 === 0) yield { digits, end: match.index + 1 + digits.length };
  }
}
