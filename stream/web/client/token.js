// A token at the edge: what a user gave, checked. No error text ever holds it.

import { ClientError } from "./errors.js";

const TOKEN = /^[\x21-\x7e]+$/;

/** The token in what a user gave, null if there is none. ClientError if it cannot be one. */
export function tokenOf(given) {
  if (given === null || given === undefined || given === "") return null;
  if (typeof given !== "string") throw new ClientError(`token: expected text, or a function that returns it, got a value of type ${typeof given}`);
  const token = given.trim();
  if (!TOKEN.test(token)) throw new ClientError("token: expected only letters, digits and signs of ASCII, without a space");
  return token;
}

/** A server's address without what may be secret in it: name, password, and query. ClientError if it is none. */
export function addressOf(url) {
  let parsed;
  try {
    parsed = new URL(url);
  } catch {
    parsed = null;
  }
  if (!parsed || !["ws:", "wss:"].includes(parsed.protocol)) throw new ClientError("url: expected the address of a server, such as ws://127.0.0.1:8080/v1");
  return `${parsed.protocol}//${parsed.host}${parsed.pathname}`;
}
