// The page: what the reader does becomes messages, what the server says becomes elements.

import { Connection } from "../client/connection.js";
import { addressOf } from "./address.js";
import { announce } from "./announce.js";
import { read } from "./commands.js";
import { $, avatar, button, element } from "./dom.js";
import * as drawer from "./drawer.js";
import { watched } from "./frames.js";
import * as log from "./log.js";
import { offer } from "./more.js";
import { inOrder, summary, typingLine } from "./people.js";
import { countsOf, recalled, visited } from "./rooms.js";
import * as side from "./side.js";
import { recall, remember, tab } from "./storage.js";
import { Throttle, Typists } from "./typing.js";

const TOLD_ONCE = new Set(["joined", "left", "said", "told", "announced", "is-typing"]);

let connection = null;
let me = null; // {name, room, connection} as the server welcomed us
let early = null; // what came on this connection before its welcome; null once that is there
let people = new Set();
let rooms = recalled(recall("rooms"));
const cursors = new Map(recall("cursors", tab) ?? []); // room -> how far this tab has come there
let recipient = null; // {name, message}: whom the next text is for; null is everybody
let unanswered = new Map(); // id of a personal message -> {name, text}, until it is known to be delivered
let jobs = new Map(); // id of the message that asked for it -> its entry
let ids = 0;
let countdown = null;

// ---- joining and leaving

const address = new URL(location.href);
$("room").value = address.searchParams.get("room") ?? recall("room") ?? "lobby";
$("name").value = address.searchParams.get("name") ?? recall("name") ?? "";
const gateway = address.searchParams.get("gateway") ?? document.querySelector("meta[name=gateway]").content;

$("join").addEventListener("submit", (event) => {
  event.preventDefault();
  const name = $("name").value.trim();
  const room = $("room").value.trim();
  if (!name) return;
  remember("name", name);
  address.searchParams.delete("name");
  join(room, name);
  history.replaceState({ room }, "", address);
});

$("leave").addEventListener("click", () => {
  leave();
  side.show(false);
  drawer.close();
  show(false);
  $("name").focus();
});

$("retry").addEventListener("click", () => connection.open());

function join(room, name) {
  remember("room", room);
  rooms = visited(rooms, room);
  remember("rooms", rooms);
  address.searchParams.set("room", room);
  const again = log.enter(room);
  setPeople([]);
  connection = new Connection(addressOf(room, name, gateway), {
    ping: { type: "ping" },
    unsent: 0, // a text stays in its field until there is a connection
    ready: ({ type }) => type === "welcome",
    // During a hand-over the same may come through both sockets.
    key: ({ type, data }) => (TOLD_ONCE.has(type) ? JSON.stringify([type, data]) : null),
    resume: "after",
    cursor: cursors.get(room) ?? "",
    WebSocket: watched(drawer.frames),
  });
  me = again ? { name, room } : null;
  connection.addEventListener("message", (event) => receive(event.detail));
  connection.addEventListener("state", (event) => showState(event.detail));
  connection.addEventListener("history", ({ detail }) => {
    if (!detail.complete) log.append(log.notice("You were away for long: some of what was said is missing."));
  });
  connection.open();
  $("title").textContent = room;
  listRooms();
  show(true);
  $("text").focus();
}

function leave() {
  cursors.set($("title").textContent, connection.cursor);
  connection.close();
  connection = null;
  me = null;
  choose(null);
  log.leave();
}

addEventListener("pagehide", () => {
  if (connection !== null) cursors.set($("title").textContent, connection.cursor);
  remember("cursors", [...cursors], tab);
});

// ---- rooms

function enter(room) {
  const { name } = me ?? { name: recall("name") };
  side.show(false);
  if (room === $("title").textContent) return;
  leave();
  join(room, name);
}

$("go").addEventListener("submit", (event) => {
  event.preventDefault();
  const room = $("other-room").value.trim();
  $("other-room").value = "";
  go(room);
});

/** Enter a room that the reader has chosen: "back" leads to the one before. */
function go(room) {
  const another = room !== $("title").textContent;
  enter(room);
  if (another) history.pushState({ room }, "", address);
}

addEventListener("popstate", ({ state }) => {
  if (connection !== null && state?.room) enter(state.room);
});

function listRooms() {
  $("rooms").replaceChildren(
    ...rooms.map((room) => {
      const row = button("room", element("span", "hash", "#"), () => go(room));
      row.value = room;
      row.append(element("span", "name", room), element("small", "connected"));
      if (room === $("title").textContent) row.setAttribute("aria-current", "true");
      return element("li", "", row);
    }),
  );
}

/** Show how many are in the other rooms; it is asked when somebody looks, and not all the time. */
async function countRooms() {
  const counts = new Map(await countsOf(rooms));
  for (const row of $("rooms").querySelectorAll("button:not([aria-current])")) {
    row.querySelector(".connected").textContent = counts.get(row.value) || "";
  }
}

document.addEventListener("visibilitychange", () => {
  if (!document.hidden && connection !== null) countRooms();
});
$("side-toggle").addEventListener("click", countRooms);

// ---- what the server says

const on = {
  welcome(data) {
    const back = me !== null;
    me = data;
    setPeople(data.people);
    drawer.follow(data.connection);
    if (!connection.handingOver) log.append(log.notice(back ? "You are back." : `Welcome, ${data.name}.`));
    // On Lambda two who join in the same moment may not have seen each other yet.
    connection.send({ type: "who" });
    countRooms();
  },
  people(data) {
    setPeople(data.people);
  },
  joined({ name }) {
    setPeople([...people, name]);
    log.append(log.notice(`${name} joined`));
  },
  left({ name }) {
    typists.ended(name);
    setPeople([...people].filter((other) => other !== name));
    log.append(log.notice(`${name} left`));
  },
  said({ name, text, number }) {
    typists.ended(name);
    log.append(log.message(name, text, { mine: name === me.name, number }));
  },
  told({ name, connection, text }) {
    const mine = name === me.name;
    const reply = mine ? null : () => choose(toConnection(name, connection));
    log.append(log.message(name, text, { mine, personal: "only to you", reply }));
  },
  "is-typing"({ name }) {
    if (name !== me.name) typists.began(name);
  },
  announced({ text }) {
    log.append(log.announcement(text));
  },
  delivered({ sent }, id) {
    const { name, text } = unanswered.get(id) ?? {};
    if (!unanswered.delete(id)) return;
    if (sent) log.append(log.message(me.name, text, { mine: true, personal: `only to ${name}` }));
    else log.append(log.notice(`${name} isn't there any more; nothing was sent.`, "error"));
  },
  progress({ percent }, id) {
    jobs.get(id)?.progress(percent);
  },
  done({ primes }, id) {
    jobs.get(id)?.done(`${grouped(primes)} found`);
    jobs.delete(id);
  },
  error({ detail }, id) {
    unanswered.delete(id);
    jobs.get(id)?.failed("refused");
    jobs.delete(id);
    log.append(log.notice(`The server didn't understand: ${detail}`, "error"));
  },
  accepted() {},
  pong() {},
};

// On Lambda a welcome waits until the handshake is over, and what others say may overtake it. It lists the people as of
// the handshake, so that what overtook it happened later.
function receive(message) {
  if (early && message.type !== "welcome") {
    early.push(message);
    return;
  }
  const later = early ?? [];
  early = null;
  for (const { type, id, data } of [message, ...later]) on[type]?.(data, id);
}

// ---- talking

$("composer").addEventListener("submit", (event) => {
  event.preventDefault();
  const text = $("text").value.trim();
  if (!text || !act(text)) return; // the text stays in its field until there is a connection
  $("text").value = "";
  throttle.sent();
  log.toTheEnd();
});

/** Do what was typed; return whether it is done. */
function act(text) {
  if (recipient) return tell(text);
  const { say, primes, announce: announced, mistake } = read(text);
  if (mistake) log.append(log.notice(mistake, "error"));
  if (announced) announceIn(me.room, announced).catch(({ message }) => log.append(log.notice(message, "error")));
  if (primes) return count(primes);
  return say ? connection.send({ type: "say", id: `${++ids}`, data: { text } }) : !mistake;
}

function tell(text) {
  const { name, message } = recipient;
  const id = `${++ids}`;
  if (!connection.send({ ...message, id, data: { ...message.data, text } })) return false;
  unanswered.set(id, { name, text });
  return true;
}

$("text").addEventListener("keydown", (event) => {
  if (event.key === "Enter" && !event.shiftKey && !event.isComposing) {
    event.preventDefault();
    $("composer").requestSubmit();
  } else if (event.key === "Escape") {
    choose(null);
  }
});

$("everybody").addEventListener("click", () => choose(null));

function choose(whom) {
  recipient = whom;
  $("recipient").hidden = whom === null;
  $("recipient-name").textContent = whom?.name ?? "";
  $("text").placeholder = whom ? `Write to ${whom.name} only` : "Write to everybody";
  for (const button of $("people").querySelectorAll("button")) {
    button.setAttribute("aria-pressed", String(button.value === whom?.name));
  }
  if (!$("chat").hidden) $("text").focus();
}

const toUser = (name) => ({ name, message: { type: "tell-user", data: { user: name } } });
const toConnection = (name, connection) => ({ name, message: { type: "tell-connection", data: { connection } } });

// ---- typing

const throttle = new Throttle();
const typists = new Typists((names) => ($("typing").textContent = typingLine(names)));

$("text").addEventListener("input", () => {
  const heard = recipient === null && people.size > 1 && $("text").value.trim() && !$("text").value.startsWith("/");
  if (heard && throttle.typed()) connection.send({ type: "typing" });
});

// ---- more to do

function count(below) {
  const id = `${++ids}`;
  if (!connection.send({ type: "work", id, data: { below } })) return false;
  const job = log.job(`Primes below ${grouped(below)}`);
  jobs.set(id, job);
  log.append(job.entry);
  return true;
}

async function announceIn(room, text) {
  const reached = await announce(room, text);
  log.append(log.notice(`Announced to ${grouped(reached)} ${reached === 1 ? "connection" : "connections"}`));
}

offer({
  room: () => me?.room ?? $("title").textContent,
  announce: announceIn,
  count(below) {
    if (!count(below)) log.append(log.notice("There is no connection to ask through.", "error"));
    log.toTheEnd();
  },
});

const grouped = (number) => number.toLocaleString("en");

// ---- showing

function show(chatting) {
  for (const id of ["chat", "drawer-toggle", "side-toggle"]) $(id).hidden = !chatting;
  $("welcome").hidden = chatting;
  if (!chatting) $("title").textContent = "Gatesocket chat";
}

const STATES = {
  connecting: "Connecting",
  open: "Connected",
  waiting: "Reconnecting",
  refused: "Refused",
  closed: "Not connected",
};

function showState({ state, delay, reason }) {
  if (state === "connecting") early = [];
  document.body.dataset.state = state;
  $("state").textContent = STATES[state];
  $("send").disabled = state !== "open";
  $("retry").hidden = state !== "waiting" && state !== "refused";
  if (state === "refused") log.append(log.notice(`The server closed the connection: ${reason || "no reason given"}`, "error"));
  if (state !== "open") {
    forgetUnanswered();
    typists.clear();
    drawer.follow(null);
  }
  showSummary();

  clearInterval(countdown);
  $("countdown").textContent = "";
  if (state === "waiting") {
    const until = Date.now() + delay;
    const tick = () => ($("countdown").textContent = `in ${Math.max(1, Math.ceil((until - Date.now()) / 1000))} s`);
    countdown = setInterval(tick, 1000);
    if (delay > 1500) tick();
  }
}

function forgetUnanswered() {
  for (const { name, text } of unanswered.values()) {
    log.append(log.notice(`The connection was lost before it was known whether ${name} got “${text}”.`, "error"));
  }
  unanswered.clear();
  // What a job says goes to the connection that asked for it.
  for (const job of jobs.values()) job.failed("The connection was lost, and the result with it.");
  jobs.clear();
}

function setPeople(names) {
  people = new Set(inOrder(names));
  $("count").textContent = people.size || "";
  $("alone").hidden = people.size !== 1;
  $("people").replaceChildren(
    ...[...people].map((name) => {
      const button = element("button", "person", avatar(name), element("span", "name", name));
      button.type = "button";
      button.value = name;
      if (name === me?.name) {
        button.disabled = true;
        button.append(element("small", "", "you"));
      } else {
        button.title = `Write to ${name} only`;
        button.setAttribute("aria-pressed", String(name === recipient?.name));
        button.addEventListener("click", () => {
          side.show(false);
          choose(recipient?.name === name ? null : toUser(name));
        });
      }
      return element("li", "", button);
    }),
  );
  showSummary();
}

function showSummary() {
  $("summary").textContent = document.body.dataset.state === "open" && people.size ? summary([...people], me?.name) : "";
}

$("copy-address").addEventListener("click", async () => {
  const copied = await navigator.clipboard.writeText(`${address}`).then(
    () => "Copied",
    () => "Copy it from the address bar",
  );
  $("copy-address").textContent = copied;
});
