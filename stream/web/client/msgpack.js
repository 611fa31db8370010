// The part of MessagePack that the protocol uses. Integers beyond 2^53 are BigInts, so that none is ever rounded; others are numbers
// however wide they are written. (The usual library makes BigInts of all that take 64 bits, or rounds them, and is no faster.)

const utf8 = new TextDecoder("utf-8", { fatal: true });
const LONE_SURROGATE = /\p{Surrogate}/u;

/** Read one value that fills the whole buffer. */
export function decode(buffer) {
  const reader = new Reader(buffer);
  const value = reader.value();
  if (reader.at !== reader.bytes.length) throw new Error(`${reader.bytes.length - reader.at} bytes too many`);
  return value;
}

class Reader {
  constructor(buffer) {
    this.bytes = buffer instanceof Uint8Array ? buffer : new Uint8Array(buffer);
    this.view = new DataView(this.bytes.buffer, this.bytes.byteOffset, this.bytes.byteLength);
    this.at = 0;
  }

  take(size) {
    const at = this.at;
    this.at += size;
    if (this.at > this.bytes.length) throw new Error("the message is cut off");
    return at;
  }

  value() {
    const byte = this.view.getUint8(this.take(1));
    if (byte < 0x80) return byte;
    if (byte < 0x90) return this.map(byte & 0x0f);
    if (byte < 0xa0) return this.array(byte & 0x0f);
    if (byte < 0xc0) return this.text(byte & 0x1f);
    if (byte >= 0xe0) return byte - 0x100;
    switch (byte) {
      case 0xc0: return null;
      case 0xc2: return false;
      case 0xc3: return true;
      case 0xcb: return this.view.getFloat64(this.take(8));
      case 0xcc: return this.view.getUint8(this.take(1));
      case 0xcd: return this.view.getUint16(this.take(2));
      case 0xce: return this.view.getUint32(this.take(4));
      case 0xcf: return exact(this.view.getBigUint64(this.take(8)));
      case 0xd0: return this.view.getInt8(this.take(1));
      case 0xd1: return this.view.getInt16(this.take(2));
      case 0xd2: return this.view.getInt32(this.take(4));
      case 0xd3: return exact(this.view.getBigInt64(this.take(8)));
      case 0xd9: return this.text(this.view.getUint8(this.take(1)));
      case 0xda: return this.text(this.view.getUint16(this.take(2)));
      case 0xdb: return this.text(this.view.getUint32(this.take(4)));
      case 0xdc: return this.array(this.view.getUint16(this.take(2)));
      case 0xdd: return this.array(this.view.getUint32(this.take(4)));
      case 0xde: return this.map(this.view.getUint16(this.take(2)));
    }
    throw new Error(`byte 0x${byte.toString(16)}: it is not part of the protocol`);
  }

  text(size) {
    const at = this.take(size);
    const { bytes } = this;
    let text = "";
    for (let i = at; i < this.at; i++) {
      if (bytes[i] > 0x7f || size > 64) return utf8.decode(bytes.subarray(at, this.at));
      text += String.fromCharCode(bytes[i]); // short and plain: quicker than a call of the decoder
    }
    return text;
  }

  array(size) {
    const values = [];
    for (let i = 0; i < size; i++) values.push(this.value());
    return values;
  }

  map(size) {
    const values = {};
    for (let i = 0; i < size; i++) {
      const key = this.value();
      values[key] = this.value();
    }
    return values;
  }
}

function exact(value) {
  return value >= Number.MIN_SAFE_INTEGER && value <= Number.MAX_SAFE_INTEGER ? Number(value) : value;
}

/** Write one value: null, booleans, integers (numbers or BigInts), text, arrays and plain objects. */
export function encode(value) {
  const out = [];
  write(out, value);
  return new Uint8Array(out);
}

function write(out, value) {
  if (value === null || value === undefined) out.push(0xc0);
  else if (typeof value === "boolean") out.push(value ? 0xc3 : 0xc2);
  else if (typeof value === "bigint" || Number.isSafeInteger(value)) writeInteger(out, value);
  else if (typeof value === "number") throw new TypeError(`${value}: expected a whole number; beyond 2^53 use a BigInt`);
  else if (typeof value === "string") {
    const bytes = new TextEncoder().encode(value);
    if (LONE_SURROGATE.test(value)) throw new TypeError("the text has half of a character: a lone surrogate cannot be sent");
    writeHead(out, bytes.length, 0xa0, 32, 0xd9);
    for (const byte of bytes) out.push(byte);
  } else if (Array.isArray(value)) {
    writeHead(out, value.length, 0x90, 16, 0xdb);
    for (const item of value) write(out, item);
  } else if (typeof value === "object") {
    const entries = Object.entries(value);
    writeHead(out, entries.length, 0x80, 16, 0xdd);
    for (const [key, item] of entries) {
      write(out, key);
      write(out, item);
    }
  } else throw new TypeError(`a value of type ${typeof value}: expected an integer, text, a list or a map`);
}

/** A size in as few bytes as it takes: in the type itself below `small`, else in 1 (text alone), 2 or 4 behind `wide` and its followers. */
function writeHead(out, size, type, small, wide) {
  if (size < small) out.push(type | size);
  else if (size < 256 && small === 32) out.push(wide, size);
  else if (size < 65536) out.push(wide + 1, ...big(size, 2));
  else out.push(wide + 2, ...big(size, 4));
}

function writeInteger(out, value) {
  if (value >= 2n ** 64n || value < -(2n ** 63n)) throw new RangeError(`${value}: expected an integer of 64 bits`);
  if (value >= 0 && value < 128) out.push(Number(value));
  else if (value >= 0 && value < 2 ** 32) out.push(0xce, ...big(value, 4));
  else if (value >= 0) out.push(0xcf, ...big(value, 8));
  else out.push(0xd3, ...big(BigInt.asUintN(64, BigInt(value)), 8));
}

function big(value, size) {
  const bytes = [];
  for (let shift = BigInt(size - 1) * 8n; shift >= 0n; shift -= 8n) bytes.push(Number((BigInt(value) >> shift) & 0xffn));
  return bytes;
}
