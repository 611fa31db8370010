// What a client may send on one connection, as the server's welcome told it. Takes the time in ms, and gives how long to wait.
//
// Each message counts, and each channel of a subscription; the server makes a debt of what goes over the burst, and takes nothing until that is paid. When a
// message reaches it nobody here knows, but it is before its answer: until then it counts, and from then on it is forgotten at the server's rate. So
// a client never goes over, however the network bunches what it sent. Nor are more messages under way than may be.

/** The limits of a server that does not tell them. */
const LIMITS = { subscriptions_max: 1000, message_bytes_max: 16 * 1024, messages_per_s: 2000, messages_burst: 200, under_way_max: 1000 };

const LOOK_MS = 1; // while as many are under way as may be, so soon it is looked again whether one has been answered
const CHANNELS_MAX = 1024; // of one request
const HEAD_BYTES = 64; // of an encoded subscription, at most: all but its channels
const NAME_BYTES = 3; // what is in front of a channel's name
const RESUME_BYTES = 23; // what is behind it where it resumes, beside the name once more

const utf8 = new TextEncoder();

/** As how many messages the server counts a request. */
export const costOf = (tag, fields) => (tag === "subscribe" || tag === "unsubscribe" ? 1 + fields[0].length : 1);

export class Allowance {
  #perMs;
  #burst;
  #level;
  #at;
  #underWayMax;
  #underWay = 0; // messages,
  #unanswered = 0; // and what they count as

  constructor(welcome, now) {
    const told = (name) => welcome?.[name] || LIMITS[name];
    this.subscriptionsMax = told("subscriptions_max");
    this.messageBytesMax = told("message_bytes_max");
    this.#perMs = told("messages_per_s") / 1000;
    this.#burst = this.#level = told("messages_burst");
    this.#underWayMax = told("under_way_max");
    this.#at = now;
  }

  /** The server may take longer messages now. */
  signedIn({ message_bytes_max }) {
    this.messageBytesMax = message_bytes_max || this.messageBytesMax;
  }

  /** How long to wait before the next message, or to ask again, since answers make it shorter. */
  wait(now) {
    if (this.#underWay >= this.#underWayMax) return LOOK_MS;
    this.#refill(now);
    return Math.max(0, Math.ceil((this.#unanswered + 1 - this.#level) / this.#perMs));
  }

  /** A message is on its way. */
  sent(cost) {
    this.#underWay += 1;
    this.#unanswered += cost;
  }

  /** Its answer has come. */
  answered(cost, now) {
    this.#refill(now);
    this.#underWay -= 1;
    this.#unanswered -= cost;
    this.#level -= cost;
  }

  #refill(now) {
    this.#level = Math.min(this.#burst, this.#level + Math.max(0, now - this.#at) * this.#perMs);
    this.#at = now;
  }

  /** Channels in as few requests as they fit into; those that resume need room to say where. */
  parts(channels, resumes = () => false) {
    const parts = [];
    let room = 0;
    for (const channel of channels) {
      const name = utf8.encode(channel).length + NAME_BYTES;
      const size = resumes(channel) ? 2 * name + RESUME_BYTES : name;
      if (size > room || parts.at(-1).length === CHANNELS_MAX) {
        parts.push([]);
        room = this.messageBytesMax - HEAD_BYTES;
      }
      parts.at(-1).push(channel);
      room -= size;
    }
    return parts;
  }
}
