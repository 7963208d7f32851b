// The page: what the reader does becomes messages, what the server says becomes elements.
// Texts come from strangers. They are only ever set as textContent.

import { Connection } from "../client/connection.js";
import { addressOf } from "./address.js";

const LOG_LENGTH = 500; // entries kept
const TOLD_ONCE = new Set(["joined", "left", "said", "told", "announced"]);
const $ = (id) => document.getElementById(id);

let connection = null;
let me = null; // {name, room, connection} as the server welcomed us
let early = null; // what came on this connection before its welcome; null once that is there
let people = new Set();
let recipient = null; // {name, message}: whom the next text is for; null is everybody
let unanswered = new Map(); // id of a personal message -> {name, text}, until it is known to be delivered
let ids = 0;
let unread = 0;
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
  remember("room", room);
  address.searchParams.set("room", room);
  address.searchParams.delete("name");
  history.replaceState(null, "", address);
  join(room, name);
});

$("leave").addEventListener("click", () => {
  connection.close();
  connection = null;
  me = null;
  show(false);
  $("name").focus();
});

$("retry").addEventListener("click", () => connection.open());

function join(room, name) {
  $("entries").replaceChildren();
  unanswered.clear();
  choose(null);
  setPeople([]);
  connection = new Connection(addressOf(room, name, gateway), {
    ping: { type: "ping" },
    unsent: 0, // a text stays in its field until there is a connection
    ready: ({ type }) => type === "welcome",
    // During a hand-over the same may come through both sockets.
    key: ({ type, data }) => (TOLD_ONCE.has(type) ? JSON.stringify([type, data]) : null),
  });
  connection.addEventListener("message", (event) => receive(event.detail));
  connection.addEventListener("state", (event) => showState(event.detail));
  connection.open();
  $("title").textContent = room;
  show(true);
  $("text").focus();
}

// ---- what the server says

const on = {
  welcome(data) {
    const back = me !== null;
    me = data;
    setPeople(data.people);
    if (!connection.handingOver) append(notice(back ? "You are back. What was said in between isn't kept." : `Welcome, ${data.name}.`));
    // On Lambda two who join in the same moment may not have seen each other yet.
    connection.send({ type: "who" });
  },
  people(data) {
    setPeople(data.people);
  },
  joined({ name }) {
    setPeople([...people, name]);
    append(notice(`${name} joined`));
  },
  left({ name }) {
    setPeople([...people].filter((other) => other !== name));
    append(notice(`${name} left`));
  },
  said({ name, text, number }) {
    append(message(name, text, { number }));
  },
  told({ name, connection, text }) {
    append(message(name, text, { personal: "only to you", reply: connection }));
  },
  announced({ text }) {
    append(element("li", "announcement", element("b", "", "Announcement"), element("span", "", text)));
  },
  delivered({ sent }, id) {
    const { name, text } = unanswered.get(id) ?? {};
    if (!unanswered.delete(id)) return;
    if (sent) append(message(me.name, text, { personal: `only to ${name}` }));
    else append(notice(`${name} isn't there any more; nothing was sent.`, "error"));
  },
  error({ detail }, id) {
    unanswered.delete(id);
    append(notice(`The server didn't understand: ${detail}`, "error"));
  },
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
  if (!text) return;
  const id = `${++ids}`;
  const sent = recipient
    ? connection.send({ ...recipient.message, id, data: { ...recipient.message.data, text } })
    : connection.send({ type: "say", id, data: { text } });
  if (!sent) return; // the text stays in its field until there is a connection
  if (recipient) unanswered.set(id, { name: recipient.name, text });
  $("text").value = "";
  toTheEnd();
});

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

// ---- showing

function show(chatting) {
  $("chat").hidden = !chatting;
  $("leave").hidden = !chatting;
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
  if (state === "refused") append(notice(`The server closed the connection: ${reason || "no reason given"}`, "error"));
  if (state !== "open") forgetUnanswered();

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
    append(notice(`The connection was lost before it was known whether ${name} got “${text}”.`, "error"));
  }
  unanswered.clear();
}

function setPeople(names) {
  people = new Set(names.sort((one, other) => one.localeCompare(other)));
  $("count").textContent = people.size || "";
  $("people").replaceChildren(
    ...[...people].map((name) => {
      const button = element("button", "person", avatar(name), element("span", "", name));
      button.type = "button";
      button.value = name;
      if (name === me?.name) {
        button.disabled = true;
        button.append(element("small", "", "you"));
      } else {
        button.title = `Write to ${name} only`;
        button.setAttribute("aria-pressed", String(name === recipient?.name));
        button.addEventListener("click", () => choose(recipient?.name === name ? null : toUser(name)));
      }
      return element("li", "", button);
    }),
  );
}

function message(name, text, { number, personal, reply }) {
  const mine = name === me.name;
  const head = element("p", "head", element("b", "", mine ? "You" : name), time());
  if (number) {
    const count = element("span", "number", `#${number}`);
    count.title = "Counted by a local variable of the route, which outlives every single message";
    head.append(count);
  }
  if (personal) head.append(element("span", "personal-to", personal));
  const body = element("div", "body", element("p", "text", text));
  if (reply && !mine) {
    const button = element("button", "quiet", "Reply");
    button.type = "button";
    button.addEventListener("click", () => choose(toConnection(name, reply)));
    body.append(button);
  }
  const entry = element("li", "message", avatar(name), head, body);
  entry.classList.toggle("mine", mine);
  entry.classList.toggle("personal", Boolean(personal));
  return entry;
}

function notice(text, kind = "") {
  const entry = element("li", `notice ${kind}`, text);
  if (kind === "error") entry.role = "alert";
  return entry;
}

function append(entry) {
  const entries = $("entries");
  if (entry.classList.contains("notice") && entries.lastElementChild?.isEqualNode(entry)) return;
  const following = atTheEnd();
  entries.append(entry);
  while (entries.childElementCount > LOG_LENGTH) entries.firstElementChild.remove();
  if (following) toTheEnd();
  else $("newer").hidden = false;
  if (document.hidden && !entry.classList.contains("notice")) {
    unread += 1;
    document.title = `(${unread}) ${me?.room} · Gatesocket chat`;
  }
}

const atTheEnd = () => $("log").scrollHeight - $("log").scrollTop - $("log").clientHeight < 80;
const toTheEnd = () => ($("log").scrollTop = $("log").scrollHeight);

$("newer").addEventListener("click", toTheEnd);
$("log").addEventListener("scroll", () => {
  if (atTheEnd()) $("newer").hidden = true;
});
document.addEventListener("visibilitychange", () => {
  if (document.hidden) return;
  unread = 0;
  document.title = "Gatesocket chat";
});

function avatar(name) {
  const circle = element("span", "avatar", [...name][0].toUpperCase());
  circle.setAttribute("aria-hidden", "true");
  let hue = 0;
  for (const letter of name) hue = (hue * 31 + letter.codePointAt(0)) % 360;
  circle.style.setProperty("--hue", hue);
  return circle;
}

function time() {
  const now = new Date();
  const stamp = element("time", "", now.toLocaleTimeString([], { hour: "2-digit", minute: "2-digit" }));
  stamp.dateTime = now.toISOString();
  return stamp;
}

function element(tag, className, ...children) {
  const made = document.createElement(tag);
  made.className = className;
  made.append(...children);
  return made;
}

// ---- remembering, where the browser lets us

function remember(key, value) {
  try {
    localStorage.setItem(`chat-${key}`, value);
  } catch {
    // Storage is switched off: the form is empty at the next visit, nothing else.
  }
}

function recall(key) {
  try {
    return localStorage.getItem(`chat-${key}`);
  } catch {
    return null;
  }
}
