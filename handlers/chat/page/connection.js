// A WebSocket that comes back by itself. Knows nothing of the page.

const FIRST_DELAY = 500; // ms; the longest wait before the first new attempt
const LONGEST_DELAY = 30_000; // ms
const STABLE_AFTER = 5_000; // ms open, after which the next loss counts as the first again
const SILENCE = 4 * 60_000; // ms; API Gateway ends a connection that is silent for ten minutes
const ANSWER_WITHIN = 10_000; // ms for the answer to a ping
const POLICY_VIOLATION = 1008; // the server doesn't want us: coming back wouldn't change that

/**
 * Dispatches "message" (detail: what the server sent, parsed) and "state" (detail: {state, delay, reason}), where
 * state is "connecting", "open", "waiting" (for the next attempt, in `delay` ms), "refused" or "closed".
 */
export class Connection extends EventTarget {
  #url;
  #socket = null;
  #attempts = 0;
  #timers = new Map();

  constructor(url) {
    super();
    this.#url = url;
    addEventListener("online", this.#hurry);
    document.addEventListener("visibilitychange", this.#hurry);
  }

  open() {
    this.#drop();
    const socket = new WebSocket(this.#url);
    this.#socket = socket;
    // A socket that was replaced may still report: what it says no longer counts.
    const current = (then) => (event) => socket === this.#socket && then(event);
    socket.onopen = current(() => {
      this.#after("stable", STABLE_AFTER, () => (this.#attempts = 0));
      this.#heard();
      this.#tell("open");
    });
    socket.onmessage = current((event) => {
      this.#heard();
      this.dispatchEvent(new CustomEvent("message", { detail: JSON.parse(event.data) }));
    });
    socket.onclose = current((event) => this.#lost(event.code, event.reason));
    this.#tell("connecting");
  }

  /** Send one message; false if there is nobody to send it to at the moment. */
  send(message) {
    if (this.#socket?.readyState !== WebSocket.OPEN) return false;
    this.#socket.send(JSON.stringify(message));
    return true;
  }

  /** Leave for good. */
  close() {
    removeEventListener("online", this.#hurry);
    document.removeEventListener("visibilitychange", this.#hurry);
    this.#drop();
    this.#tell("closed");
  }

  #drop() {
    for (const timer of this.#timers.values()) clearTimeout(timer);
    this.#timers.clear();
    const socket = this.#socket;
    this.#socket = null;
    socket?.close(1000);
  }

  #lost(code, reason) {
    this.#drop();
    if (code === POLICY_VIOLATION) {
      this.#tell("refused", { reason });
      return;
    }
    // "Full jitter": when a server comes back, its clients must not all arrive in the same moment.
    const delay = Math.random() * Math.min(LONGEST_DELAY, FIRST_DELAY * 2 ** this.#attempts);
    this.#attempts += 1;
    this.#after("retry", delay, () => this.open());
    this.#tell("waiting", { delay });
  }

  /** Something came: the connection lives. Ask again when it has been silent for long. */
  #heard() {
    clearTimeout(this.#timers.get("answer"));
    this.#after("silence", SILENCE, () => this.#ping());
  }

  #ping() {
    this.send({ type: "ping" });
    // A close handshake over a dead network takes minutes; don't wait for it.
    this.#after("answer", ANSWER_WITHIN, () => this.#lost(1006, ""));
  }

  /** The network or the reader is back: don't wait for a timer that slept meanwhile. */
  #hurry = () => {
    if (document.hidden) return;
    if (this.#socket === null) this.open();
    else if (this.#socket.readyState === WebSocket.OPEN) this.#ping();
  };

  #after(name, delay, then) {
    clearTimeout(this.#timers.get(name));
    this.#timers.set(name, setTimeout(then, delay));
  }

  #tell(state, detail = {}) {
    this.dispatchEvent(new CustomEvent("state", { detail: { state, ...detail } }));
  }
}

/** The address of a room's socket: on this host, or at *gateway*, which knows no paths and is told in the query. */
export function addressOf(room, name, gateway = "") {
  const url = gateway ? new URL(gateway) : new URL(`ws/${encodeURIComponent(room)}`, document.baseURI);
  url.protocol = url.protocol.replace("http", "ws");
  url.search = "";
  if (gateway) url.searchParams.set("__path", `/ws/${room}`);
  url.searchParams.set("name", name);
  return url;
}
