// Who is typing. A sign of it is thrown away by everybody who gets it, and is worth little: on Lambda each is an
// invocation and a post to everybody in the room, so that it is given rarely.

const EVERY = 3_000; // ms between two signs that somebody is typing
const LASTS = 5_000; // ms after the last one, until they are taken to have stopped

/** When to say that one is typing oneself. */
export class Throttle {
  #last = -Infinity;

  /** Something was typed; return whether to say so. */
  typed(now = Date.now()) {
    if (now - this.#last < EVERY) return false;
    this.#last = now;
    return true;
  }

  /** The text is sent: the next one is news. */
  sent() {
    this.#last = -Infinity;
  }
}

/** Who else is typing; *changed* is called with their names. */
export class Typists {
  #timers = new Map();
  #changed;

  constructor(changed) {
    this.#changed = changed;
  }

  /** Somebody is typing. */
  began(name) {
    clearTimeout(this.#timers.get(name));
    this.#timers.set(name, setTimeout(() => this.ended(name), LASTS));
    this.#tell();
  }

  /** Somebody has sent what they typed, or has left. */
  ended(name) {
    clearTimeout(this.#timers.get(name));
    if (this.#timers.delete(name)) this.#tell();
  }

  /** One has left the room oneself. */
  clear() {
    for (const timer of this.#timers.values()) clearTimeout(timer);
    this.#timers.clear();
    this.#tell();
  }

  #tell() {
    this.#changed([...this.#timers.keys()]);
  }
}
