// The parts of the chat's page that need no browser.

import assert from "node:assert/strict";
import { mock, test } from "node:test";

import { addressOf } from "../../handlers/chat/page/address.js";
import { announce } from "../../handlers/chat/page/announce.js";
import { read } from "../../handlers/chat/page/commands.js";
import { Frames, pretty, preview, size, watched } from "../../handlers/chat/page/frames.js";
import { inOrder, summary, typingLine } from "../../handlers/chat/page/people.js";
import { highlighted } from "../../handlers/chat/page/python.js";
import { countsOf, recalled, visited } from "../../handlers/chat/page/rooms.js";
import { recall, remember } from "../../handlers/chat/page/storage.js";
import { Throttle, Typists } from "../../handlers/chat/page/typing.js";

// ---- commands

test("a text is said as it was typed", () => {
  for (const text of ["hello", "/shrug", "/primesnot 5", " /primes 5", "1/2"]) assert.deepEqual(read(text), { say: text });
});

test("primes are counted below a number, however it is grouped", () => {
  for (const text of ["/primes 100000", "/primes  100,000 ", "/primes 100 000", "/primes 100_000"]) {
    assert.deepEqual(read(text), { primes: 100_000 });
  }
});

test("what can't be counted is a mistake that says what could", () => {
  for (const text of ["/primes", "/primes 1", "/primes 1000001", "/primes many", "/primes -5"]) {
    assert.match(read(text).mistake, /from 2 to 1,000,000/);
  }
});

test("an announcement has a text, of any number of lines", () => {
  assert.deepEqual(read("/announce The museum\ncloses"), { announce: "The museum\ncloses" });
  assert.match(read("/announce").mistake, /What is to be announced/);
});

test("an announcement is posted, and reaches whom it reaches", async () => {
  const fetched = mock.method(globalThis, "fetch", async () => Response.json({ sent: 2, queued: 3, gone: 1, failed: 0 }));
  assert.equal(await announce("lobby", "Hear"), 5);
  const [path, request] = fetched.mock.calls[0].arguments;
  assert.deepEqual([path, request.method, JSON.parse(request.body)], ["announce", "POST", { text: "Hear", room: "lobby" }]);
  fetched.mock.mockImplementation(async () => Response.json({}, { status: 422 }));
  await assert.rejects(announce(null, ""), /status 422/);
  fetched.mock.mockImplementation(async () => {
    throw new TypeError("no network");
  });
  await assert.rejects(announce(null, "x"), /can't be reached/);
  fetched.mock.restore();
});

// ---- people

test("people are listed once each, in the order of their names and numbers", () => {
  assert.deepEqual(inOrder(["guest 10", "Bob", "guest 2", "ann", "Bob"]), ["ann", "Bob", "guest 2", "guest 10"]);
});

test("who is there is told in a few words", () => {
  assert.equal(summary(["Ann"], "Ann"), "only you");
  assert.equal(summary(["Bob", "Ann"], "Ann"), "you and Bob");
  assert.equal(summary(["Cid", "Bob", "Ann"], "Ann"), "you, Bob and Cid");
  assert.equal(summary(["Dan", "Cid", "Bob", "Ann"], "Ann"), "you, Bob and 2 others");
});

test("who is typing is told in a few words", () => {
  assert.equal(typingLine([]), "");
  assert.equal(typingLine(["Ann"]), "Ann is typing");
  assert.equal(typingLine(["Ann", "Bob"]), "Ann and Bob are typing");
  assert.equal(typingLine(["Ann", "Bob", "Cid"]), "3 people are typing");
});

// ---- typing

test("that one types is said every three seconds, and at once of the next text", () => {
  const throttle = new Throttle();
  assert.deepEqual([0, 1, 2999, 3000, 5999].map((now) => throttle.typed(now)), [true, false, false, true, false]);
  throttle.sent();
  assert.equal(throttle.typed(6000), true);
});

test("somebody is typing until five seconds after the last sign of it", (context) => {
  context.mock.timers.enable({ apis: ["setTimeout"] });
  let names;
  const typists = new Typists((now) => (names = now));
  typists.began("Ann");
  context.mock.timers.tick(3000);
  typists.began("Ann");
  typists.began("Bob");
  context.mock.timers.tick(4999);
  assert.deepEqual(names, ["Ann", "Bob"]);
  context.mock.timers.tick(1);
  assert.deepEqual(names, []);
});

test("whoever has sent the text, or has left, isn't typing any more", (context) => {
  context.mock.timers.enable({ apis: ["setTimeout"] });
  const told = [];
  const typists = new Typists((now) => told.push(now));
  typists.began("Ann");
  typists.began("Bob");
  typists.ended("Ann");
  typists.ended("Cid"); // who wasn't
  typists.clear();
  context.mock.timers.tick(10_000);
  assert.deepEqual(told, [["Ann"], ["Ann", "Bob"], ["Bob"], []]);
});

// ---- rooms

test("a room that one comes to again stays where it is in the list", () => {
  assert.deepEqual(visited(["a", "b"], "c"), ["c", "a", "b"]);
  assert.deepEqual(visited(["a", "b"], "b"), ["a", "b"]);
  assert.equal(visited([..."abcdefgh"], "i").join(""), "iabcdefg");
});

test("what was remembered as rooms is looked at before it is believed", () => {
  assert.deepEqual(recalled(["a", 5, "", null, "b"]), ["a", "b"]);
  for (const value of [null, "lobby", { 0: "a" }]) assert.deepEqual(recalled(value), []);
});

test("a room whose connections can't be counted has no number", async () => {
  const fetched = mock.method(globalThis, "fetch", async (path) => {
    if (path.endsWith("=gone")) throw new TypeError("no network");
    if (path.endsWith("=odd")) return new Response("<html>");
    return Response.json({ connections: path.endsWith("k%C3%BCche") ? 2 : 0 });
  });
  assert.deepEqual(await countsOf(["küche", "gone", "odd", "empty"]), [["küche", 2], ["empty", 0]]);
  fetched.mock.restore();
});

test("a room's socket is on this host, or at an API that is told the path in the query", () => {
  globalThis.document = { baseURI: "https://example.com/chat/" };
  assert.equal(String(addressOf("küche", "Ann & co")), "wss://example.com/chat/ws/k%C3%BCche?name=Ann+%26+co");
  assert.equal(
    String(addressOf("lobby", "Ann", "wss://abcd.execute-api.eu-west-1.amazonaws.com/prod?old=1")),
    "wss://abcd.execute-api.eu-west-1.amazonaws.com/prod?__path=%2Fws%2Flobby&name=Ann",
  );
  delete globalThis.document;
});

test("what the browser doesn't let us remember is forgotten, and nothing fails", () => {
  const kept = new Map();
  globalThis.localStorage = { setItem: (key, value) => kept.set(key, value), getItem: (key) => kept.get(key) ?? null };
  assert.equal(recall("rooms"), null);
  remember("rooms", ["a"]);
  assert.deepEqual(recall("rooms"), ["a"]);
  kept.set("chat-rooms", "not JSON");
  assert.equal(recall("rooms"), null);
  delete globalThis.localStorage;
  remember("rooms", ["a"]);
  assert.equal(recall("rooms"), null);
});

// ---- frames

const AT = new Date("2026-01-31T12:00:00.123Z");

test("a frame is kept with its direction, its type and its size in bytes", () => {
  const added = [];
  const frames = new Frames((entry) => added.push(entry), assert.fail);
  const text = '{"type":"say","data":{"text":"é"}}';
  frames.frame("out", text, AT);
  assert.deepEqual(added, [{ at: AT, direction: "out", text, type: "say", bytes: 35 }]);
  for (const [odd, type] of [["hello", ""], ["null", ""], ['{"type":5}', ""]]) {
    frames.frame("in", odd, AT);
    assert.equal(added.at(-1).type, type);
  }
});

test("only the latest frames are kept", () => {
  let dropped = 0;
  const frames = new Frames(() => {}, () => (dropped += 1));
  for (let number = 0; number < 305; number += 1) frames.frame("in", `${number}`, AT);
  assert.equal(frames.entries.length, 300);
  assert.equal(frames.entries[0].text, "5");
  assert.equal(dropped, 5);
  frames.clear();
  assert.equal(`${frames}`, "");
});

test("frames can be copied as lines", () => {
  const frames = new Frames(() => {}, assert.fail);
  frames.change("the socket is open", AT);
  frames.frame("out", "hello", AT);
  frames.frame("in", "you said hello", AT);
  assert.equal(
    `${frames}`,
    "2026-01-31T12:00:00.123Z - the socket is open\n" +
      "2026-01-31T12:00:00.123Z > hello\n" +
      "2026-01-31T12:00:00.123Z < you said hello\n",
  );
});

test("a watched socket does what it did, and says what went through it", () => {
  const sent = [];
  class Socket extends EventTarget {
    constructor(url, protocols) {
      super();
      this.asked = [url, protocols];
    }

    send(data) {
      sent.push(data);
    }
  }
  const frames = new Frames(() => {}, assert.fail);
  const socket = new (watched(frames, Socket))("wss://example.com/", ["chat"]);
  assert.deepEqual(socket.asked, ["wss://example.com/", ["chat"]]);
  socket.dispatchEvent(new Event("open"));
  socket.send("hello");
  socket.dispatchEvent(Object.assign(new Event("message"), { data: "hi" }));
  for (const reason of ["", "going away"]) socket.dispatchEvent(Object.assign(new Event("close"), { code: 1001, reason }));
  assert.deepEqual(sent, ["hello"]);
  assert.deepEqual(
    frames.entries.map(({ direction, text }) => [direction, text]),
    [
      ["change", "the socket is open"],
      ["out", "hello"],
      ["in", "hi"],
      ["change", "the socket is closed, with 1001"],
      ["change", "the socket is closed, with 1001: going away"],
    ],
  );
});

test("a frame is shown short on its line and in full below it", () => {
  const text = '{"type":"said","data":{"name":"Ann","text":"hi"}}';
  assert.equal(preview(text), '{"name":"Ann","text":"hi"}');
  assert.equal(preview('{"type":"who"}'), '{"type":"who"}');
  assert.equal(preview("{not json"), "{not json");
  assert.equal(pretty('{"a":[1]}'), '{\n  "a": [\n    1\n  ]\n}');
  assert.equal(pretty("{not json"), "{not json");
});

test("sizes are told in few characters", () => {
  assert.deepEqual([0, 999, 1000, 32_768].map(size), ["0 B", "999 B", "1.0 kB", "32.8 kB"]);
});

// ---- Python in colours

test("keywords, texts, numbers, decorators and comments have their colours", () => {
  assert.deepEqual(highlighted(['@app.websocket("/ws")']), [[["decorator", "@app.websocket"], [null, "("], ["string", '"/ws"'], [null, ")"]]]);
  assert.deepEqual(highlighted(["    async for x in y:  # waits"]), [
    [
      [null, "    "],
      ["keyword", "async"],
      [null, " "],
      ["keyword", "for"],
      [null, " x "],
      ["keyword", "in"],
      [null, " y:  "],
      ["comment", "# waits"],
    ],
  ]);
  assert.deepEqual(highlighted(["n1 += 1_000"]), [[[null, "n1 += "], ["number", "1_000"]]]);
  assert.deepEqual(highlighted([`say(f"it's # {x}", 'a \\' b')`]), [
    [[null, "say("], ["string", `f"it's # {x}"`], [null, ", "], ["string", "'a \\' b'"], [null, ")"]],
  ]);
  assert.deepEqual(highlighted([""]), [[]]);
});

test("a docstring is one text from its first line to its last", () => {
  const lines = ['    """Say hello.', "", "    Not for long.", '    """', "    return"];
  assert.deepEqual(
    highlighted(lines).map((tokens) => tokens.map(([kind]) => kind)),
    [["string"], ["string"], ["string"], ["string"], [null, "keyword"]],
  );
  assert.deepEqual(highlighted(['"""One line."""', "pass"]), [[["string", '"""One line."""']], [["keyword", "pass"]]]);
});

test("nothing of a source is lost in colours", () => {
  const source = ["def f(a='x', *, b=2.5):  # é", '    return f"{a!r}" if a else None', "unfinished = 'text", "\t@x.y"];
  assert.deepEqual(
    highlighted(source).map((tokens) => tokens.map(([, text]) => text).join("")),
    source,
  );
});
