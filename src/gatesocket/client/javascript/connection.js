// A WebSocket that comes back by itself, and that knows what API Gateway does to one. No dependencies; the types, and
// what each option means, are in connection.d.ts.

export const BINARY_PREFIX = "data:;base64,"; // what bytes begin with as text (RFC 2397)

const POLICY_VIOLATION = 1008; // the server doesn't want us: coming back wouldn't change that
const ABNORMAL = 1006; // no close frame was seen (RFC 6455, section 7.1.5)

const DEFAULTS = {
  protocols: [],
  firstDelay: 500, // ms; the longest wait before the first new attempt
  longestDelay: 30_000, // ms
  stableAfter: 5_000, // ms open, after which the next loss counts as the first again
  ping: null,
  silence: 4 * 60_000, // ms; API Gateway ends a connection that is silent for ten minutes
  answerWithin: 10_000, // ms for the answer to a ping
  handOverAfter: 110 * 60_000, // ms; API Gateway ends any connection after two hours
  handOverSpread: 5 * 60_000, // ms, so that many clients don't come in one moment
  overlap: 5_000, // ms for what is still on its way to the old socket
  ready: null,
  key: null,
  resume: null, // the query parameter that tells the server how far we have come
  cursor: "", // how far that was on an earlier page
  first: null, // what to say first on each new socket
  largestFrame: 32 * 1024, // bytes; API Gateway closes with 1009 after a larger one
  unsent: 100, // messages that wait for a connection
  json: true,
  binary: null,
  closeMessage: true,
  WebSocket: null, // the environment's
  random: Math.random,
};

const CURSOR = /^([\w-]{8})\.(\d{1,12})\.(\d{1,12})\.(\d{1,12})$/; // of one group: its tag, run, index and time
const FURTHEST = 1000; // messages after a gap that are known; no server keeps more

export class Connection extends EventTarget {
  #url;
  #options;
  #link = null; // what is sent through
  #heir = null; // what will be, once it is ready
  #retiring = null; // what was, and may still bring something
  #attempts = 0;
  #timers = new Map();
  #unsent = [];
  #told = new Map(); // key -> the link that brought it while there were two
  #seen = new Map(); // tag of a group -> how far we have come in its history

  constructor(url, options = {}) {
    super();
    for (const name of Object.keys(options)) {
      if (!(name in DEFAULTS)) throw new TypeError(`there is no option "${name}"`);
    }
    this.#url = url;
    this.#options = { ...DEFAULTS, ...options };
    for (const place of this.#options.cursor.split(",").map(placeIn)) {
      if (place) this.#seen.set(place.tag, new Seen(place));
    }
  }

  /** How many messages wait for a connection. */
  get unsent() {
    return this.#unsent.length;
  }

  /** Whether two sockets are open, one of which takes over from the other. */
  get handingOver() {
    return this.#heir !== null || this.#retiring !== null;
  }

  /** How far we have come, to begin from with the option of that name. */
  get cursor() {
    return [...this.#seen.values()].join(",");
  }

  open() {
    // Here, so that one that was closed is opened again with them; one that is added already isn't added twice.
    globalThis.addEventListener?.("online", this.#hurry);
    globalThis.document?.addEventListener("visibilitychange", this.#hurry);
    this.#drop();
    const link = (this.#link = newLink());
    this.#tell("connecting");
    if (this.#has(link)) this.#dial(link);
  }

  send(message) {
    const frame = this.#frame(message);
    if (this.#isOpen(this.#link)) {
      this.#put(this.#link, frame);
      return true;
    }
    if (this.#unsent.length >= this.#options.unsent) return false;
    this.#unsent.push(frame);
    return true;
  }

  /** Leave for good; what waits is forgotten. */
  close(code = 1000, reason = "") {
    if (code !== 1000 && !(code >= 3000 && code <= 4999)) {
      // A socket would throw this, but only when its connection has forgotten it.
      throw new RangeError(`expected 1000 or a code from 3000 to 4999, which a client may close with, but got ${code}`);
    }
    globalThis.removeEventListener?.("online", this.#hurry);
    globalThis.document?.removeEventListener("visibilitychange", this.#hurry);
    this.#unsent = [];
    this.#drop(code, reason);
    this.#tell("closed", { code, reason });
  }

  // ---- sockets

  #dial(link) {
    // Before the socket is there: a server lets a client wait for so long only with its first message.
    this.#make(link, this.#options.first, "first message", (first) =>
      this.#make(link, this.#url, "address", (address) => this.#connect(link, address, first)),
    );
  }

  /** Take *source*, or what it returns, unless the link is given up meanwhile. */
  #make(link, source, what, then) {
    if (typeof source !== "function") {
      then(source);
      return;
    }
    // Whatever goes wrong on the way to a socket, the next attempt may go better: nothing may be thrown into a timer.
    const failed = (error) => this.#closed(link, ABNORMAL, `no ${what}: ${error?.message ?? error}`);
    const made = (value) => this.#has(link) && then(value);
    try {
      const value = source();
      if (typeof value?.then === "function") value.then(made).catch(failed);
      else made(value);
    } catch (error) {
      failed(error);
    }
  }

  #connect(link, address, first) {
    const Socket = this.#options.WebSocket ?? globalThis.WebSocket;
    if (first !== null) link.first = { ...this.#frame(first), forThisSocket: true };
    const socket = new Socket(this.#resuming(address), this.#options.protocols);
    link.socket = socket;
    socket.onopen = () => this.#opened(link);
    socket.onmessage = ({ data }) => this.#received(link, data);
    socket.onclose = ({ code, reason }) => this.#closed(link, code, reason);
  }

  #resuming(address) {
    if (this.#options.resume === null) return address;
    const url = new URL(address, globalThis.location?.href);
    url.searchParams.set(this.#options.resume, this.cursor);
    return url;
  }

  /** A socket that was replaced may still report: what it says no longer counts. */
  #has(link) {
    return link === this.#link || link === this.#heir || link === this.#retiring;
  }

  #isOpen(link) {
    return link?.socket?.readyState === 1;
  }

  #opened(link) {
    if (!this.#has(link)) return;
    if (link.first !== null) this.#put(link, link.first);
    if (link === this.#heir) {
      if (!this.#options.ready) this.#takeOver();
      return;
    }
    this.#after("stable", this.#options.stableAfter, () => (this.#attempts = 0));
    this.#planHandOver();
    this.#heard();
    this.#tell("open");
    this.#flush();
  }

  #received(link, data) {
    if (!this.#has(link)) return;
    if (link === this.#link) this.#heard();
    const farewell = this.#options.closeMessage ? farewellIn(data) : null;
    if (farewell) {
      link.farewell = farewell;
      return;
    }
    const message = this.#parse(data);
    if (link === this.#heir && this.#options.ready?.(message)) this.#takeOver();
    if (this.#options.resume !== null && this.#isKnown(message)) return;
    if (this.#isRepeated(link, message)) return;
    this.dispatchEvent(new CustomEvent("message", { detail: message }));
  }

  #closed(link, code, reason) {
    const last = link.farewell ?? { code, reason };
    if (link === this.#retiring) {
      this.#endOverlap();
    } else if (link === this.#heir) {
      this.#heir = null;
      if (last.code !== POLICY_VIOLATION) this.#after("handover", this.#delay(), () => this.#handOver());
    } else if (link === this.#link) {
      this.#unsent.unshift(...neverSent(link));
      if (this.#isOpen(this.#heir)) this.#takeOver();
      else this.#lost(last.code, last.reason);
    }
  }

  #lost(code, reason) {
    this.#drop();
    if (code === POLICY_VIOLATION) {
      this.#tell("refused", { code, reason });
      return;
    }
    const delay = this.#delay();
    this.#after("retry", delay, () => this.open());
    this.#tell("waiting", { delay, code, reason });
  }

  #drop(code = 1000, reason = "") {
    for (const timer of this.#timers.values()) clearTimeout(timer);
    this.#timers.clear();
    const links = [this.#link, this.#heir, this.#retiring];
    this.#link = this.#heir = this.#retiring = null;
    this.#told.clear();
    for (const link of links) link?.socket?.close(code, reason);
  }

  /** "Full jitter": when a server comes back, its clients must not all arrive in the same moment. */
  #delay() {
    const { firstDelay, longestDelay, random } = this.#options;
    const delay = random() * Math.min(longestDelay, firstDelay * 2 ** this.#attempts);
    this.#attempts += 1;
    return delay;
  }

  // ---- the hand-over: a second socket is there before the first has to go

  #planHandOver() {
    const { handOverAfter, handOverSpread, random } = this.#options;
    if (handOverAfter !== null) this.#after("handover", handOverAfter + random() * handOverSpread, () => this.#handOver());
  }

  #handOver() {
    this.#told.clear();
    this.#dial((this.#heir = newLink()));
  }

  /** Send through the new socket, and listen to the old one for what is still on its way to it. */
  #takeOver() {
    this.#retiring = this.#link;
    this.#link = this.#heir;
    this.#heir = null;
    this.#attempts = 0;
    this.#planHandOver();
    this.#heard();
    if (this.#isOpen(this.#retiring)) this.#after("overlap", this.#options.overlap, () => this.#endOverlap());
    else this.#endOverlap();
    this.#flush();
  }

  #endOverlap() {
    clearTimeout(this.#timers.get("overlap"));
    const retired = this.#retiring;
    this.#retiring = null;
    retired.socket.close(1000);
  }

  /** Whether the other socket has brought this message already; it may be late, when that one is gone. */
  #isRepeated(link, message) {
    if (!this.handingOver && this.#told.size === 0) return false;
    const key = this.#options.key?.(message) ?? null;
    if (key === null) return false;
    if ((this.#told.get(key) ?? link) !== link) return this.#told.delete(key);
    if (this.handingOver) this.#told.set(key, link);
    return false;
  }

  // ---- what a server with a history keeps

  /** Note how far a message has brought us; whether nobody needs to hear of it, as it is known or only tells that. */
  #isKnown(message) {
    const place = placeIn(message?.cursor);
    if (place === null) return false;
    const seen = this.#seen.get(place.tag);
    if (message.type === "history" && typeof message.complete === "boolean") {
      if (seen === undefined) this.#seen.set(place.tag, new Seen(place));
      else seen.goOn(place, message.complete);
      this.dispatchEvent(new CustomEvent("history", { detail: { complete: message.complete } }));
      return true;
    }
    if (seen !== undefined) return !seen.add(place);
    this.#seen.set(place.tag, new Seen(place));
    return false;
  }

  // ---- messages

  #frame(message) {
    const frame = this.#encode(message);
    const size = new TextEncoder().encode(frame).length;
    if (size > this.#options.largestFrame) {
      throw new RangeError(
        `expected a message of at most ${this.#options.largestFrame} bytes, but this one has ${size}: send it in parts, ` +
          "or upload it and send its address",
      );
    }
    return { frame, size };
  }

  #encode(message) {
    if (message instanceof ArrayBuffer || ArrayBuffer.isView(message)) {
      if (this.#options.binary !== "base64") {
        throw new TypeError('bytes can\'t be sent: API Gateway has no binary messages. Agree on { binary: "base64" }');
      }
      const bytes = ArrayBuffer.isView(message)
        ? new Uint8Array(message.buffer, message.byteOffset, message.byteLength)
        : new Uint8Array(message);
      return BINARY_PREFIX + btoa(Array.from(bytes, (byte) => String.fromCharCode(byte)).join(""));
    }
    return typeof message === "string" ? message : JSON.stringify(message);
  }

  #parse(data) {
    if (this.#options.binary === "base64" && data.startsWith?.(BINARY_PREFIX)) {
      const bytes = bytesIn(data.slice(BINARY_PREFIX.length));
      if (bytes) return bytes;
    }
    return this.#options.json && typeof data === "string" ? JSON.parse(data) : data;
  }

  #put(link, message) {
    link.socket.send(message.frame);
    link.sent.push(message);
    // What the browser has handed to the network can't be known to be unsent any more.
    let waiting = link.sent.reduce((total, each) => total + each.size, 0);
    while (link.sent.length && waiting > link.socket.bufferedAmount) waiting -= link.sent.shift().size;
  }

  #flush() {
    for (const frame of this.#unsent.splice(0)) this.#put(this.#link, frame);
  }

  // ---- silence

  /** Something came: the connection lives. Ask again when it has been silent for long. */
  #heard() {
    clearTimeout(this.#timers.get("answer"));
    if (this.#options.ping !== null) this.#after("silence", this.#options.silence, () => this.#ping());
  }

  #ping() {
    if (this.#isOpen(this.#link)) this.#put(this.#link, { ...this.#frame(this.#options.ping), forThisSocket: true });
    // A close handshake over a dead network takes minutes; don't wait for it.
    this.#after("answer", this.#options.answerWithin, () => this.#closed(this.#link, ABNORMAL, "no answer to a ping"));
  }

  /** The network or the reader is back: don't wait for a timer that slept meanwhile. */
  #hurry = () => {
    if (globalThis.document?.hidden) return;
    if (this.#timers.has("retry")) this.open();
    else if (this.#isOpen(this.#link) && this.#options.ping !== null) this.#ping();
  };

  #after(name, delay, then) {
    clearTimeout(this.#timers.get(name));
    const run = () => {
      this.#timers.delete(name);
      then();
    };
    this.#timers.set(name, setTimeout(run, delay));
  }

  #tell(state, detail = {}) {
    this.dispatchEvent(new CustomEvent("state", { detail: { state, ...detail } }));
  }
}

/**
 * How far we have come in one group's history: up to a place, and beyond it what came out of order, as broadcasts that
 * overlap may. What is missing in between is asked for when we come back, and dropped if it was only late.
 */
class Seen {
  #upTo;
  #beyond = new Map(); // "run.index" -> place

  constructor(place) {
    this.#upTo = place;
  }

  /** Note a message; whether it is a new one. */
  add(place) {
    if (!isAfter(place, this.#upTo) || this.#beyond.has(nameOf(place))) return false;
    this.#beyond.set(nameOf(place), place);
    this.#advance();
    if (this.#beyond.size > FURTHEST) this.#jump([...this.#beyond.values()].reduce(earlier));
    return true;
  }

  /** Take the server's word for what there is; during a hand-over it may be an older one than ours. */
  goOn(place, complete) {
    if (!complete || !isAfter(this.#upTo, place)) this.#jump(place);
  }

  toString() {
    const { tag, run, index, at } = this.#upTo;
    return [tag, run, index, at].join(".");
  }

  #jump(place) {
    this.#upTo = place;
    for (const [name, each] of this.#beyond) if (!isAfter(each, place)) this.#beyond.delete(name);
    this.#advance();
  }

  #advance() {
    for (const first of this.#beyond.values()) {
      // A run begins with 1, a day after anything was kept: nothing that could still be had is in between.
      if (first.index === 1 && first.run > this.#upTo.run) this.#upTo = first;
    }
    let next;
    while ((next = this.#beyond.get(nameOf({ run: this.#upTo.run, index: this.#upTo.index + 1 })))) this.#upTo = next;
    for (const [name, each] of this.#beyond) if (!isAfter(each, this.#upTo)) this.#beyond.delete(name);
  }
}

const nameOf = ({ run, index }) => `${run}.${index}`;

const isAfter = (one, other) => one.run > other.run || (one.run === other.run && one.index > other.index);

const earlier = (one, other) => (isAfter(one, other) ? other : one);

/** The place that a cursor names; null for anything else. */
function placeIn(cursor) {
  const found = typeof cursor === "string" ? CURSOR.exec(cursor) : null;
  if (found === null) return null;
  const [run, index, at] = found.slice(2).map(Number);
  return { tag: found[1], run, index, at };
}

const newLink = () => ({ socket: null, first: null, farewell: null, sent: [] });

/** The bytes of a text in base64; null of somebody's text that only begins as bytes do. */
function bytesIn(base64) {
  try {
    return Uint8Array.from(atob(base64), (character) => character.charCodeAt(0));
  } catch {
    return null;
  }
}

/** What a last text message tells of the close, which API Gateway itself can't. */
function farewellIn(data) {
  if (typeof data !== "string" || !data.startsWith("{")) return null;
  let value;
  try {
    value = JSON.parse(data);
  } catch {
    return null; // an app's own text
  }
  const { type, code, reason, ...others } = value;
  const fits = type === "close" && Number.isInteger(code) && typeof reason === "string" && !Object.keys(others).length;
  return fits ? { code, reason } : null;
}

/** The messages at the end of what was sent that the browser still had when the socket closed. */
function neverSent({ socket, sent }) {
  let waiting = socket?.bufferedAmount ?? 0;
  const unsent = [];
  for (const each of sent.slice().reverse()) {
    if (each.size > waiting) break;
    waiting -= each.size;
    unsent.unshift(each);
  }
  return unsent.filter((each) => !each.forThisSocket);
}
