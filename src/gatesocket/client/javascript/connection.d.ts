/** The types of connection.js. */

/** What bytes begin with when they are sent as text: a data URL without a media type (RFC 2397). */
export const BINARY_PREFIX: "data:;base64,";

export interface Options<Received = unknown> {
  /** Subprotocols to offer. */
  protocols?: string | string[];
  /** The longest wait before the first new attempt, in ms; it doubles with each. 500 by default. */
  firstDelay?: number;
  /** The longest wait before any attempt, in ms. 30 000 by default. */
  longestDelay?: number;
  /** How long a connection is open, in ms, until its next loss counts as the first again. 5 000 by default. */
  stableAfter?: number;
  /**
   * What to send when nothing has come for long; the server has to answer it by any message. API Gateway ends a
   * connection after ten minutes without a message. null, the default: nothing; then the client comes back after that.
   */
  ping?: object | string | null;
  /** How long nothing comes until a ping is sent, in ms. Four minutes by default. */
  silence?: number;
  /** How long the answer to a ping may take, in ms, until the connection is given up. 10 000 by default. */
  answerWithin?: number;
  /**
   * When a second socket is opened to take over, in ms. API Gateway ends any connection after two hours. 110 minutes by
   * default; null: never.
   */
  handOverAfter?: number | null;
  /** Up to how much later than that, by chance, in ms. Five minutes by default. */
  handOverSpread?: number;
  /** How long the old socket is listened to after the new one has taken over, in ms. 5 000 by default. */
  overlap?: number;
  /** Whether a message shows that the server has let the new socket in. null, the default: it is when it is open. */
  ready?: ((message: Received) => boolean) | null;
  /**
   * What tells a message from any other, so that one which both sockets bring during a hand-over is dispatched once;
   * null for a message that isn't to be compared. null instead of a function, the default: it is dispatched twice.
   */
  key?: ((message: Received) => string | null) | null;
  /**
   * The query parameter that tells a server with a history how far this client has come, so that it sends what was
   * missed; what comes twice is then dispatched once. It is on every address, and empty at first. null, the default:
   * none.
   */
  resume?: string | null;
  /** How far an earlier page had come: its `cursor`. Empty by default. */
  cursor?: string;
  /**
   * What to say first on each new socket, before all that waits, as a server that authenticates by the first message
   * wants it; or a function that returns it anew. What it throws counts as an attempt that failed. null, the default:
   * nothing.
   */
  first?: object | string | null | (() => object | string | Promise<object | string>);
  /** Bytes of the largest message that is sent. 32 768 by default: after a larger one API Gateway closes with 1009. */
  largestFrame?: number;
  /** How many messages may wait for a connection. 100 by default. */
  unsent?: number;
  /** Whether messages are JSON. true by default; false: "message" events carry texts. */
  json?: boolean;
  /** "base64": bytes are sent and received as text, as the server's GATESOCKET_BINARY says. null, the default: not. */
  binary?: "base64" | null;
  /** Whether a last text {"type": "close", "code", "reason"} tells of the close. true by default. */
  closeMessage?: boolean;
  /** What makes sockets. null, the default: the environment's own. */
  WebSocket?: (new (url: string | URL, protocols?: string | string[]) => WebSocket) | null;
  /** A number from 0 to 1; Math.random by default. */
  random?: () => number;
}

/** "waiting" is for the next attempt, in `delay` ms; "refused" is a close with 1008, after which none is made. */
export type State =
  | { state: "connecting" | "open" }
  | { state: "waiting"; delay: number; code: number; reason: string }
  | { state: "refused" | "closed"; code: number; reason: string };

/** What a server says of a group's history before it sends what was missed: whether that is all. */
export interface History {
  complete: boolean;
}

interface Events<Received> {
  message: CustomEvent<Received>;
  history: CustomEvent<History>;
  state: CustomEvent<State>;
}

/** A WebSocket that comes back by itself, with back-off and jitter, and hands over before API Gateway ends it. */
export class Connection<Received = unknown> extends EventTarget {
  /** @param url The address, or a function that returns it anew for each attempt, as for a one-time ticket. */
  constructor(url: string | URL | (() => string | URL | Promise<string | URL>), options?: Options<Received>);

  /** How many messages wait for a connection. */
  readonly unsent: number;
  /** Whether two sockets are open, one of which takes over from the other. */
  readonly handingOver: boolean;
  /** How far this client has come in the histories of its groups; to be kept for the option of that name. */
  readonly cursor: string;

  /** Connect now; a connection that is there is dropped. */
  open(): void;
  /**
   * Send a message, or keep it until there is a connection: a text as it is, bytes in the agreed form, else as JSON.
   *
   * @returns false if there is no connection, and as many messages wait as may: it is neither sent nor kept.
   * @throws RangeError It is larger than a frame may be.
   * @throws TypeError It is bytes, and no form was agreed on.
   */
  send(message: unknown): boolean;
  /**
   * Leave for good; what waits is forgotten.
   *
   * @throws RangeError The code is neither 1000 nor from 3000 to 4999.
   */
  close(code?: number, reason?: string): void;

  addEventListener<Name extends keyof Events<Received>>(
    type: Name,
    listener: ((event: Events<Received>[Name]) => void) | null,
    options?: boolean | AddEventListenerOptions,
  ): void;
  addEventListener(
    type: string,
    listener: EventListenerOrEventListenerObject | null,
    options?: boolean | AddEventListenerOptions,
  ): void;
}
