// What goes over the wire, in both directions, as the page's drawer shows it.

const KEPT = 300;

const encoder = new TextEncoder();

/** The latest frames and changes of sockets; *added* is called with each, *dropped* when the oldest is let go. */
export class Frames {
  entries = [];
  #added;
  #dropped;

  constructor(added, dropped) {
    this.#added = added;
    this.#dropped = dropped;
  }

  /** A text was sent or received: *direction* is "out" or "in". */
  frame(direction, text, at = new Date()) {
    this.#add({ at, direction, text, type: typeOf(text), bytes: encoder.encode(text).length });
  }

  /** Something has become of a socket. */
  change(text, at = new Date()) {
    this.#add({ at, direction: "change", text });
  }

  clear() {
    this.entries = [];
  }

  /** All of it as lines of text, for the clipboard. */
  toString() {
    const signs = { in: "<", out: ">", change: "-" };
    return this.entries.map(({ at, direction, text }) => `${at.toISOString()} ${signs[direction]} ${text}\n`).join("");
  }

  #add(entry) {
    this.entries.push(entry);
    this.#added(entry);
    if (this.entries.length > KEPT) {
      this.entries.shift();
      this.#dropped();
    }
  }
}

/** A WebSocket whose frames, opening and end are written into *frames*. */
export function watched(frames, Socket = WebSocket) {
  return class extends Socket {
    constructor(...args) {
      super(...args);
      this.addEventListener("open", () => frames.change("the socket is open"));
      this.addEventListener("message", ({ data }) => frames.frame("in", data));
      this.addEventListener("close", ({ code, reason }) => frames.change(ending(code, reason)));
    }

    send(data) {
      super.send(data);
      frames.frame("out", data);
    }
  };
}

function ending(code, reason) {
  return `the socket is closed, with ${code}${reason ? `: ${reason}` : ""}`;
}

/** The type in a message's envelope; empty for what has none. */
function typeOf(text) {
  const type = parsed(text)?.type;
  return typeof type === "string" ? type : "";
}

/** A frame's text as people read JSON, if it is JSON. */
export function pretty(text) {
  const value = parsed(text);
  return value === undefined ? text : JSON.stringify(value, null, 2);
}

/** What of a frame fits on a line: its data, without what every envelope says. */
export function preview(text) {
  const value = parsed(text);
  const data = value?.data ?? value;
  return data === undefined ? text : JSON.stringify(data);
}

/** A number of bytes in few characters. */
export function size(bytes) {
  return bytes < 1000 ? `${bytes} B` : `${(bytes / 1000).toFixed(1)} kB`;
}

function parsed(text) {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
