// What a client throws, and what stands for events that the server no longer had.

/** The root of what a client throws. */
export class ClientError extends Error {
  name = this.constructor.name;
}

/** The connection went away. A request under way may or may not have reached the server: only with a `key` is it safe to send it again. */
export class ConnectionLost extends ClientError {}

/** The server does not take the token, or no longer: it has expired, was revoked, or is none of its own. `code` is the error's, or that of the close. */
export class SignInRefused extends ConnectionLost {
  constructor({ message, code }) {
    super(message);
    this.code = code;
  }
}

/** The client was closed, the channel unsubscribed, or the server said not to come back. */
export class Closed extends ClientError {}

/** The server refused a request: `code` is the number of the error, `order` the order that it concerns (0 for none). */
export class RequestRefused extends ClientError {
  constructor({ code, message, order }) {
    super(`${message} (${code})`);
    this.code = code;
    this.order = order ?? 0;
  }
}

/** A reader left too many items of a lossless channel waiting. */
export class TooSlow extends ClientError {}

/** In the place of events of a lossless channel between two sequences, which the server no longer had. */
export class Gap {
  constructor(channel, epoch, since, seq) {
    Object.assign(this, { channel, epoch, since, seq });
  }
}
