// The client for browsers, against sockets that the test plays and a clock that it moves.

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { beforeEach, mock, test } from "node:test";

import { Connection } from "../../src/gatesocket/client/javascript/connection.js";

const MINUTE = 60_000;
let sockets = [];

class FakeSocket {
  readyState = 0;
  bufferedAmount = 0;
  sent = [];

  constructor(url, protocols) {
    this.url = String(url);
    this.protocols = protocols;
    sockets.push(this);
  }

  send(frame) {
    this.sent.push(frame);
  }

  close(code, reason) {
    this.readyState = 2;
    this.closedWith = [code, reason];
  }

  // What the server does.

  accept() {
    this.readyState = 1;
    this.onopen();
  }

  says(message) {
    this.onmessage({ data: typeof message === "string" ? message : JSON.stringify(message) });
  }

  end(code = 1006, reason = "") {
    this.readyState = 3;
    this.onclose({ code, reason });
  }
}

/** A connection, and what it has told so far. Chance takes the longest of each draw. */
function make(options = {}, url = "wss://example.com/ws") {
  const connection = new Connection(url, { WebSocket: FakeSocket, random: () => 1, ...options });
  const messages = [];
  const states = [];
  connection.addEventListener("message", ({ detail }) => messages.push(detail));
  connection.addEventListener("state", ({ detail }) => states.push(detail));
  const histories = [];
  connection.addEventListener("history", ({ detail }) => histories.push(detail.complete));
  return { connection, messages, states, histories, last: () => states.at(-1) };
}

function opened(options) {
  const made = make(options);
  made.connection.open();
  sockets[0].accept();
  return made;
}

beforeEach(() => {
  sockets = [];
  mock.timers.reset();
  mock.timers.enable({ apis: ["setTimeout"] });
});

/** Let promises that are settled be acted upon. */
const settled = () => new Promise(setImmediate);

const pass = (ms) => mock.timers.tick(ms);

test("it connects, sends and receives JSON", () => {
  const { connection, messages, states } = make({ protocols: ["chat"] });
  connection.open();
  assert.deepEqual([sockets[0].url, sockets[0].protocols], ["wss://example.com/ws", ["chat"]]);
  sockets[0].accept();
  assert.deepEqual(states, [{ state: "connecting" }, { state: "open" }]);
  assert.equal(connection.send({ type: "say" }), true);
  assert.equal(connection.send("a text as it is"), true);
  assert.deepEqual(sockets[0].sent, ['{"type":"say"}', "a text as it is"]);
  sockets[0].says({ type: "said" });
  assert.deepEqual(messages, [{ type: "said" }]);
});

test("texts can be left as they are", () => {
  const { messages } = opened({ json: false });
  sockets[0].says('{"type":"said"}');
  assert.deepEqual(messages, ['{"type":"said"}']);
});

test("an option that doesn't exist is a mistake", () => {
  assert.throws(() => make({ pings: 1 }), /there is no option "pings"/);
});

test("it comes back, each time after twice the wait, up to a limit", () => {
  const { connection, states, last } = make();
  connection.open();
  for (const delay of [500, 1000, 2000, 4000, 8000, 16_000, 30_000, 30_000]) {
    const attempts = sockets.length;
    sockets.at(-1).end(1001);
    assert.deepEqual(last(), { state: "waiting", delay, code: 1001, reason: "" });
    pass(delay - 1);
    assert.equal(sockets.length, attempts);
    pass(1);
    assert.equal(sockets.length, attempts + 1);
  }
  assert.equal(states.filter(({ state }) => state === "connecting").length, 9);
});

test("the wait is a random part of that", () => {
  const { connection, last } = make({ random: () => 0.25 });
  connection.open();
  sockets[0].end();
  assert.equal(last().delay, 125);
});

test("a connection that was stable begins again with the shortest wait", () => {
  const { connection, last } = make();
  connection.open();
  sockets[0].end();
  pass(500);
  sockets[1].accept();
  pass(5000);
  sockets[1].end();
  assert.equal(last().delay, 500);
});

test("it stays away where it is refused", () => {
  const { last } = opened();
  sockets[0].end(1008, "not on the list");
  assert.deepEqual(last(), { state: "refused", code: 1008, reason: "not on the list" });
  pass(10 * MINUTE);
  assert.equal(sockets.length, 1);
});

test("a last message tells the code and the reason of a close that API Gateway can't", () => {
  const { last, messages } = opened();
  sockets[0].says({ type: "close", code: 1008, reason: "expired" });
  sockets[0].end(1000);
  assert.deepEqual(last(), { state: "refused", code: 1008, reason: "expired" });
  assert.deepEqual(messages, []);
});

test("an app's own message that only looks like it is an app's", () => {
  const { messages } = opened({ json: false });
  const own = [
    { type: "close", code: "x", reason: "" },
    { type: "close", code: 1000, reason: "", id: 1 },
    { type: "close", code: 1000 },
    "{not JSON",
  ];
  for (const message of own) sockets[0].says(message);
  assert.deepEqual(messages, own.map((message) => (typeof message === "string" ? message : JSON.stringify(message))));
});

test("or the form isn't looked for", () => {
  const { messages } = opened({ json: false, closeMessage: false });
  const texts = ['{"type":"close","code":1000,"reason":""}', "{not JSON"];
  for (const text of texts) sockets[0].says(text);
  assert.deepEqual(messages, texts);
});

test("what is said while there is no connection is sent in order when there is one", () => {
  const { connection } = make();
  assert.equal(connection.send("before open"), true);
  connection.open();
  connection.send("while connecting");
  assert.equal(connection.unsent, 2);
  sockets[0].accept();
  assert.deepEqual(sockets[0].sent, ["before open", "while connecting"]);
  assert.equal(connection.unsent, 0);
});

test("no more is kept than there is room for, and the sender is told", () => {
  const { connection } = make({ unsent: 1 });
  assert.equal(connection.send("kept"), true);
  assert.equal(connection.send("not kept"), false);
  assert.equal(connection.unsent, 1);
});

test("what the browser still had when the socket closed is sent again, and nothing that may have arrived", () => {
  const { connection } = opened();
  connection.send("gone");
  sockets[0].bufferedAmount = 9;
  connection.send("half gone");
  sockets[0].bufferedAmount = 9 + 6;
  connection.send("unsent");
  sockets[0].bufferedAmount = 4 + 6; // of "half gone" a part is on its way
  sockets[0].end();
  pass(500);
  sockets[1].accept();
  assert.deepEqual(sockets[1].sent, ["unsent"]);
});

test("a message that API Gateway would close the connection for isn't sent", () => {
  const { connection } = opened();
  const most = "ü".repeat(16 * 1024);
  assert.equal(connection.send(most), true);
  assert.throws(() => connection.send(`${most}!`), {
    name: "RangeError",
    message: /at most 32768 bytes, but this one has 32769/,
  });
  assert.equal(sockets[0].sent.length, 1);
  assert.equal(opened({ largestFrame: Infinity }).connection.send(`${most}!`), true);
});

test("bytes travel as text, if that was agreed on", () => {
  const { connection, messages } = opened({ binary: "base64" });
  const bytes = Uint8Array.of(0, 128, 255);
  connection.send(bytes);
  connection.send(bytes.buffer);
  connection.send(bytes.subarray(1, 2));
  assert.deepEqual(sockets[0].sent, ["data:;base64,AID/", "data:;base64,AID/", "data:;base64,gA=="]);
  sockets[0].says("data:;base64,AID/");
  assert.deepEqual(messages, [bytes]);
});

test("a text that only begins as bytes do is a text", () => {
  const { messages } = opened({ binary: "base64", json: false });
  sockets[0].says("data:;base64,!");
  assert.deepEqual(messages, ["data:;base64,!"]);
});

test("and are refused otherwise", () => {
  const { connection } = opened();
  assert.throws(() => connection.send(new ArrayBuffer(1)), { name: "TypeError", message: /base64/ });
});

test("a silent connection is asked, and kept if it answers", () => {
  opened({ ping: { type: "ping" } });
  pass(4 * MINUTE - 1);
  assert.deepEqual(sockets[0].sent, []);
  pass(1);
  assert.deepEqual(sockets[0].sent, ['{"type":"ping"}']);
  sockets[0].says({ type: "pong" });
  pass(10_000);
  assert.equal(sockets[0].closedWith, undefined);
});

test("one that doesn't answer is given up", () => {
  const { last } = opened({ ping: "ping" });
  pass(4 * MINUTE);
  pass(10_000);
  assert.deepEqual(last(), { state: "waiting", delay: 500, code: 1006, reason: "no answer to a ping" });
  sockets[0].says("late"); // no longer counts
  sockets[0].end();
  pass(500);
  assert.equal(sockets.length, 2);
});

test("a ping that the browser still had isn't for the next socket", () => {
  const { connection } = opened({ ping: "ping" });
  pass(4 * MINUTE);
  sockets[0].bufferedAmount = 4 + 6;
  connection.send("unsent");
  pass(10_000);
  assert.equal(connection.unsent, 1);
  pass(500);
  sockets[1].accept();
  assert.deepEqual(sockets[1].sent, ["unsent"]);
});

test("without a ping nothing is asked", () => {
  opened();
  pass(100 * MINUTE);
  assert.deepEqual(sockets[0].sent, []);
});

test("closing is for good, and forgets what waits", () => {
  const { connection, last } = opened();
  connection.close(1000, "bye");
  assert.deepEqual(sockets[0].closedWith, [1000, "bye"]);
  assert.deepEqual(last(), { state: "closed", code: 1000, reason: "bye" });
  sockets[0].end(1000);
  pass(10 * MINUTE);
  assert.equal(sockets.length, 1);
});

test("opening again drops what was there", () => {
  const { connection, messages } = opened();
  connection.open();
  sockets[1].accept();
  sockets[0].says({ type: "late" });
  assert.deepEqual(messages, []);
  assert.deepEqual(sockets[0].closedWith, [1000, ""]);
});

test("an address can be made anew for each attempt", async () => {
  let ticket = 0;
  const { connection } = make({}, () => `wss://example.com/?ticket=${(ticket += 1)}`);
  connection.open();
  sockets[0].end();
  pass(500);
  assert.deepEqual(
    sockets.map(({ url }) => url),
    ["wss://example.com/?ticket=1", "wss://example.com/?ticket=2"],
  );
});

test("an address may take its time, and may fail", async () => {
  const answers = [Promise.reject(new Error("no ticket")), Promise.resolve("wss://example.com/")];
  const { connection, last } = make({}, () => answers.shift());
  connection.open();
  await settled();
  assert.deepEqual(last(), { state: "waiting", delay: 500, code: 1006, reason: "no address: no ticket" });
  pass(500);
  await settled();
  assert.equal(sockets.length, 1);
  connection.close();
});

test("an address that can't be made is an attempt that failed, whenever that is", async () => {
  const { connection, last } = make({}, () => {
    throw "no ticket"; // not every error is an Error
  });
  connection.open();
  assert.deepEqual(last(), { state: "waiting", delay: 500, code: 1006, reason: "no address: no ticket" });
  pass(500);
  assert.equal(last().delay, 1000);
  connection.close();
});

test("so is an address that isn't one", async () => {
  class Strict extends FakeSocket {
    constructor(url, protocols) {
      if (!url.startsWith("wss:")) throw new SyntaxError(`not an address: ${url}`);
      super(url, protocols);
    }
  }
  const { connection, last } = make({ WebSocket: Strict }, async () => "nowhere");
  connection.open();
  await settled();
  assert.equal(last().reason, "no address: not an address: nowhere");
  connection.close();
});

test("who closes it as soon as it connects opens nothing", () => {
  const { connection, last } = make();
  connection.addEventListener("state", ({ detail }) => detail.state === "connecting" && connection.close());
  connection.open();
  assert.equal(sockets.length, 0);
  assert.equal(last().state, "closed");
});

test("a code that a client may not close with is refused, and the socket is kept", () => {
  const { connection, last } = opened();
  assert.throws(() => connection.close(1001), { name: "RangeError", message: /3000 to 4999.* but got 1001/ });
  assert.equal(last().state, "open");
  assert.equal(sockets[0].closedWith, undefined);
});

test("it says something first on each new socket, before all that waits", async () => {
  const tokens = ["one", "two", "three"];
  const first = () => Promise.resolve({ type: "authenticate", data: { token: tokens.shift() } });
  const { connection } = make({ first, handOverAfter: MINUTE, handOverSpread: 0 });
  connection.open();
  connection.send({ type: "say" });
  await settled();
  sockets[0].accept();
  assert.deepEqual(sockets[0].sent.map(JSON.parse), [
    { type: "authenticate", data: { token: "one" } },
    { type: "say" },
  ]);
  sockets[0].end();
  pass(500);
  await settled();
  sockets[1].accept();
  assert.deepEqual(sockets[1].sent.map(JSON.parse), [{ type: "authenticate", data: { token: "two" } }]);
  pass(MINUTE);
  await settled();
  sockets[2].accept();
  assert.deepEqual(sockets[2].sent.map(JSON.parse), [{ type: "authenticate", data: { token: "three" } }]);
});

test("what it says first is not said again on the next socket", () => {
  const { connection } = make({ first: "hello" });
  connection.open();
  sockets[0].accept();
  sockets[0].bufferedAmount = 100;
  sockets[0].end();
  pass(500);
  sockets[1].accept();
  assert.deepEqual(sockets[1].sent, ["hello"]);
});

test("a first message that can't be made is an attempt that failed", async () => {
  const first = () => Promise.reject(new Error("no token"));
  const { connection, last } = make({ first });
  connection.open();
  await settled();
  assert.deepEqual(last(), { state: "waiting", delay: 500, code: 1006, reason: "no first message: no token" });
  assert.equal(sockets.length, 0);
});

test("a first message that can't be sent is a mistake", () => {
  const { connection } = make({ first: new Uint8Array(1) });
  assert.throws(() => connection.open(), /bytes can't be sent/);
});

test("an address that comes after the end opens nothing", async () => {
  const { connection } = make({}, () => Promise.resolve("wss://example.com/"));
  connection.open();
  connection.close();
  await settled();
  assert.equal(sockets.length, 0);
});

test("its types name the options that it has", () => {
  const read = (name) => readFileSync(new URL(`../../src/gatesocket/client/javascript/${name}`, import.meta.url), "utf8");
  const [, defaults] = /const DEFAULTS = {\n(.*?)\n};/s.exec(read("connection.js"));
  const [, types] = /export interface Options.*?{\n(.*?)\n}/s.exec(read("connection.d.ts"));
  const names = (text, pattern) => [...text.matchAll(pattern)].map(([, name]) => name).sort();
  assert.deepEqual(names(types, /^ {2}(\w+)\?:/gm), names(defaults, /^ {2}(\w+):/gm));
});

// The hand-over, before API Gateway's two hours are over.

const HAND_OVER = 115 * MINUTE; // by the longest draw

test("a second socket takes over before two hours, without a gap", () => {
  const { connection, messages, states } = opened();
  pass(HAND_OVER - 1);
  assert.equal(sockets.length, 1);
  pass(1);
  assert.equal(sockets.length, 2);
  connection.send("through the old");
  sockets[0].says(1);
  sockets[1].accept();
  connection.send("through the new");
  sockets[0].says(2); // was on its way
  sockets[1].says(3);
  assert.equal(connection.handingOver, true);
  pass(5000);
  assert.equal(connection.handingOver, false);
  assert.deepEqual(sockets[0].closedWith, [1000, undefined]);
  assert.deepEqual([sockets[0].sent, sockets[1].sent], [["through the old"], ["through the new"]]);
  assert.deepEqual(messages, [1, 2, 3]);
  assert.deepEqual(states, [{ state: "connecting" }, { state: "open" }]); // nobody has noticed
  pass(HAND_OVER);
  assert.equal(sockets.length, 3);
});

test("the new socket takes over when the server has let it in, if that can be told", () => {
  const { connection, messages } = opened({ ready: ({ type }) => type === "welcome" });
  pass(HAND_OVER);
  sockets[1].accept();
  connection.send("still through the old");
  sockets[1].says({ type: "news" });
  sockets[1].says({ type: "welcome" });
  connection.send("through the new");
  assert.deepEqual([sockets[0].sent.length, sockets[1].sent.length], [1, 1]);
  assert.deepEqual(messages, [{ type: "news" }, { type: "welcome" }]);
});

test("what both sockets bring is told once, if messages have a key", () => {
  const { messages } = opened({ key: ({ id }) => id ?? null });
  pass(HAND_OVER);
  sockets[0].says({ id: "a" });
  sockets[1].accept();
  sockets[1].says({ id: "a" });
  sockets[1].says({ id: "b" });
  sockets[0].says({ id: "b" });
  sockets[1].says({ id: "b" }); // of the same socket: said twice
  sockets[0].says({});
  sockets[1].says({});
  assert.deepEqual(messages, [{ id: "a" }, { id: "b" }, { id: "b" }, {}, {}]);
  pass(5000);
  sockets[1].says({ id: "a" }); // not compared any more
  assert.equal(messages.length, 6);
});

test("what the new socket brings late, when the old one is gone, is told once all the same", () => {
  const { messages } = opened({ key: ({ id }) => id });
  pass(HAND_OVER);
  sockets[1].accept();
  sockets[0].says({ id: "a" });
  pass(5000);
  sockets[1].says({ id: "a" });
  sockets[1].says({ id: "b" });
  sockets[1].says({ id: "b" }); // of the same socket: said twice
  assert.deepEqual(messages, [{ id: "a" }, { id: "b" }, { id: "b" }]);
});

test("a hand-over that fails is tried again, and the old socket stays", () => {
  const { connection, states } = opened();
  pass(HAND_OVER);
  sockets[1].end();
  assert.equal(connection.handingOver, false);
  pass(500);
  assert.equal(sockets.length, 3);
  sockets[2].accept();
  assert.equal(connection.handingOver, true);
  assert.equal(states.length, 2);
});

test("a hand-over that is refused is the last, and the old socket stays", () => {
  const { last } = opened();
  pass(HAND_OVER);
  sockets[1].end(1008);
  pass(HAND_OVER);
  assert.equal(sockets.length, 2);
  assert.equal(last().state, "open");
});

test("if the old socket ends first, the new one takes over at once with what was unsent", () => {
  const { connection, states } = opened({ ready: () => false });
  pass(HAND_OVER);
  sockets[1].accept();
  sockets[0].bufferedAmount = 6;
  connection.send("unsent");
  sockets[0].end(1001);
  assert.deepEqual(sockets[1].sent, ["unsent"]);
  assert.equal(connection.handingOver, false);
  assert.equal(states.length, 2);
});

test("if both are lost, it comes back as ever", () => {
  const { last } = opened();
  pass(HAND_OVER);
  sockets[0].end(1001);
  assert.equal(last().state, "waiting");
  pass(500);
  assert.equal(sockets.length, 3);
});

test("the old socket may end by itself during the overlap", () => {
  const { connection } = opened();
  pass(HAND_OVER);
  sockets[1].accept();
  sockets[0].end(1001);
  assert.equal(connection.handingOver, false);
  pass(5000);
  assert.equal(sockets.length, 2);
});

test("hand-overs can be left out", () => {
  opened({ handOverAfter: null });
  pass(24 * 60 * MINUTE);
  assert.equal(sockets.length, 1);
});

// Coming back to a history.

const said = (index, run = 100, tag = "lobby-01") => ({ n: index, cursor: `${tag}.${run}.${index}.${run + index}` });
const marker = (index, complete = true, run = 100, tag = "lobby-01") => ({
  type: "history",
  cursor: `${tag}.${run}.${index}.999`,
  complete,
});
const afterOf = (socket) => new URL(socket.url).searchParams.get("after");
const numbers = (messages) => messages.map(({ n }) => n);

function resuming(options) {
  return opened({ resume: "after", ...options });
}

/** Lose the connection, and come back. */
function comeBack() {
  sockets.at(-1).end(1001);
  pass(30_000);
  sockets.at(-1).accept();
  return sockets.at(-1);
}

test("it tells the server how far it has come, and nothing at first", () => {
  const { messages } = resuming();
  assert.equal(afterOf(sockets[0]), "");
  sockets[0].says(marker(7));
  sockets[0].says(said(8));
  const socket = comeBack();
  assert.equal(afterOf(socket), "lobby-01.100.8.108");
  socket.says(marker(8));
  socket.says(said(9));
  assert.deepEqual(numbers(messages), [8, 9]);
});

test("without the option cursors are an app's own", () => {
  const { connection, messages } = opened();
  sockets[0].says(marker(7));
  sockets[0].says(said(7));
  assert.equal(messages.length, 2);
  assert.equal(sockets[0].url, "wss://example.com/ws");
  assert.equal(connection.cursor, "");
});

test("what the server says of a history is an event, and no message", () => {
  const { messages, histories } = resuming();
  sockets[0].says(marker(7));
  sockets[0].says(marker(9, false));
  sockets[0].says({ type: "history", of: "Rome" });
  assert.deepEqual(histories, [true, false]);
  assert.deepEqual(messages, [{ type: "history", of: "Rome" }]);
});

test("what comes twice is told once", () => {
  const { messages } = resuming();
  sockets[0].says(marker(0, true, 0));
  for (const index of [1, 2, 2, 1, 3]) sockets[0].says(said(index));
  assert.deepEqual(numbers(messages), [1, 2, 3]);
});

test("what overtook another is told, and the other is asked for", () => {
  const { messages } = resuming();
  sockets[0].says(marker(4));
  for (const index of [5, 7, 8]) sockets[0].says(said(index));
  const socket = comeBack();
  assert.equal(afterOf(socket), "lobby-01.100.5.105");
  socket.says(marker(5));
  for (const index of [6, 7, 8, 9]) socket.says(said(index));
  assert.deepEqual(numbers(messages), [5, 7, 8, 6, 9]);
  assert.equal(afterOf(comeBack()), "lobby-01.100.9.109");
});

test("what is lost for good isn't asked for again", () => {
  const { messages } = resuming();
  sockets[0].says(marker(4));
  sockets[0].says(said(6));
  const socket = comeBack();
  socket.says(marker(5, false));
  for (const index of [6, 7]) socket.says(said(index));
  assert.deepEqual(numbers(messages), [6, 7]);
  assert.equal(afterOf(comeBack()), "lobby-01.100.7.107");
});

test("more after a gap than any server keeps closes it", () => {
  const { connection } = resuming();
  sockets[0].says(marker(1));
  for (let index = 3; index < 3 + 1001; index += 1) sockets[0].says(said(index));
  assert.equal(connection.cursor, "lobby-01.100.1003.1103");
});

test("a count that begins anew goes on", () => {
  const { connection, messages } = resuming();
  sockets[0].says(marker(4));
  for (const [index, run] of [[2, 200], [1, 200], [4, 100], [3, 200]]) sockets[0].says(said(index, run));
  assert.deepEqual(numbers(messages), [2, 1, 3]);
  assert.equal(connection.cursor, "lobby-01.200.3.203");
});

test("another server's history is begun where that one says", () => {
  const { messages } = resuming();
  sockets[0].says(marker(50, true, 300));
  const socket = comeBack();
  socket.says(marker(2, false, 200));
  socket.says(said(3, 200));
  assert.deepEqual(numbers(messages), [3]);
  assert.equal(afterOf(comeBack()), "lobby-01.200.3.203");
});

test("each group has a history of its own", () => {
  const { connection, messages } = resuming();
  sockets[0].says(marker(4));
  sockets[0].says(said(1, 100, "attic_02"));
  sockets[0].says(said(1, 100, "attic_02"));
  sockets[0].says(said(5));
  assert.deepEqual(numbers(messages), [1, 5]);
  assert.equal(connection.cursor, "lobby-01.100.5.105,attic_02.100.1.101");
});

test("an earlier page's cursor is where it begins", () => {
  const { messages } = resuming({ cursor: "lobby-01.100.4.104,damaged" });
  assert.equal(afterOf(sockets[0]), "lobby-01.100.4.104");
  sockets[0].says(said(4));
  sockets[0].says(said(5));
  assert.deepEqual(numbers(messages), [5]);
});

test("a hand-over tells each message once, and doesn't go back", () => {
  const { connection, messages, histories } = resuming();
  sockets[0].says(marker(4));
  sockets[0].says(said(5));
  pass(HAND_OVER);
  assert.equal(afterOf(sockets[1]), "lobby-01.100.5.105");
  sockets[1].accept();
  sockets[0].says(said(6));
  sockets[1].says(marker(5));
  sockets[1].says(said(6));
  sockets[1].says(said(7));
  sockets[0].says(said(7));
  assert.deepEqual(numbers(messages), [5, 6, 7]);
  assert.deepEqual(histories, [true, true]);
  assert.equal(connection.cursor, "lobby-01.100.7.107");
});

// What a page tells.

test("who is back online or looks again doesn't wait for a timer that slept", () => {
  const listeners = new Map();
  globalThis.addEventListener = (name, listener) => listeners.set(name, listener);
  globalThis.removeEventListener = (name) => listeners.delete(name);
  globalThis.document = { hidden: false, addEventListener() {}, removeEventListener() {} };
  try {
    const { connection } = opened({ ping: "ping" });
    listeners.get("online")();
    assert.deepEqual(sockets[0].sent, ["ping"]);
    sockets[0].end();
    document.hidden = true;
    listeners.get("online")();
    assert.equal(sockets.length, 1);
    document.hidden = false;
    listeners.get("online")();
    assert.equal(sockets.length, 2);
    listeners.get("online")(); // it is connecting
    assert.equal(sockets.length, 2);
    connection.close();
    assert.equal(listeners.size, 0);
    connection.open(); // after all
    assert.equal(listeners.size, 1);
    connection.close();
  } finally {
    for (const name of ["addEventListener", "removeEventListener", "document"]) delete globalThis[name];
  }
});
