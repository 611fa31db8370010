// Decimal text at the edge: counts of ticks, lots and units in and out, exactly.

const DECIMAL = /^(\d+)(?:\.(\d*))?$/;

/** So many steps ("0.01") as decimal text. */
export function toText(count, step) {
  const [whole, fraction = ""] = step.split(".");
  const value = BigInt(count) * BigInt(whole + fraction);
  const digits = (value < 0n ? -value : value).toString().padStart(fraction.length + 1, "0");
  const point = digits.length - fraction.length;
  return `${value < 0n ? "-" : ""}${digits.slice(0, point)}${fraction && "."}${digits.slice(point)}`;
}

/** How many steps a decimal text is. RangeError if it is not one or not a multiple; it begins with `name`, if there is one. */
export function fromText(text, step, name = "") {
  const told = (expected) => new RangeError(`${name && `${name} `}"${text}": expected ${expected}`);
  const match = typeof text === "string" && DECIMAL.exec(text.trim());
  if (!match) throw told(`a decimal number as text, such as "${step}"`);
  const [whole, fraction = ""] = step.split(".");
  const given = (match[2] ?? "").replace(/0+$/, "");
  const digits = BigInt(match[1] + given.padEnd(fraction.length, "0"));
  const unit = BigInt(whole + fraction);
  if (given.length > fraction.length || digits % unit) throw told(`a multiple of ${step}`);
  const count = digits / unit;
  return count <= Number.MAX_SAFE_INTEGER ? Number(count) : count;
}

/** The step of an asset's units, as decimal text. */
export const stepOf = (decimals) => (decimals ? `0.${"1".padStart(decimals, "0")}` : "1");
