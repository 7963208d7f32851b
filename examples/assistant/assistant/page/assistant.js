// The page: a conversation, and an answer that is shown as it comes.
// Texts come from a model and from strangers. They are only ever set as textContent.

import { Connection } from "../client/connection.js";

const STATES = { connecting: "Connecting", open: "Connected", waiting: "Reconnecting", refused: "Refused", closed: "Not connected" };
const $ = (id) => document.getElementById(id);

// The answer that is being shown: {id, element}, the text that is waiting to be shown, how many characters of it may be,
// whether it is to stop, and what is to be said at its end; null until it has come to that.
let underWay = null;
let ids = 0;

// ---- the connection

const connection = new Connection(socketAddress(), { ping: { type: "ping" }, unsent: 0 });
connection.addEventListener("message", ({ detail: { type, id, data } }) => on[type]?.(data, id));
connection.addEventListener("state", ({ detail: { state } }) => {
  document.body.dataset.state = state;
  $("state").textContent = STATES[state];
  $("send").disabled = state !== "open";
  if (state !== "open" && underWay) underWay.over = "The connection was lost.";
});
connection.open();

function socketAddress() {
  const query = new URLSearchParams(location.search);
  const gateway = query.get("gateway") ?? document.querySelector("meta[name=gateway]").content;
  const url = new URL(gateway || "ws/assistant", document.baseURI);
  url.protocol = url.protocol.replace("http", "ws");
  url.search = "";
  if (gateway) url.searchParams.set("__path", "/ws/assistant");
  return url;
}

const on = {
  welcome({ model }) {
    $("model").textContent = model;
    // A conversation is a connection's: another one knows nothing of what was said.
    if ($("turns").childElementCount) append("notice", "A new connection. What was said above isn't known any more.");
  },
  said({ text }, id) {
    if (underWay?.id === id && !underWay.stopping) underWay.waiting += text;
  },
  answered({ stopped }, id) {
    if (underWay?.id === id) underWay.over ??= stopped ? "Stopped." : "";
  },
  busy(_, id) {
    if (underWay?.id === id) underWay.over = "Another answer is under way.";
  },
  forgotten() {
    $("turns").replaceChildren();
  },
  error({ detail }, id) {
    if (underWay?.id === id) underWay.over = `The server didn't understand: ${detail}`;
  },
};

// ---- asking

function ask(text) {
  const id = `${++ids}`;
  if (!text || underWay || !connection.send({ type: "ask", id, data: { text } })) return;
  append("user", text);
  const element = append("assistant under-way", "");
  underWay = { id, element, waiting: "", due: 0, stopping: false, over: null };
  $("text").value = "";
  $("send").hidden = true;
  $("stop").hidden = false;
  $("forget").disabled = true;
  requestAnimationFrame(show);
}

$("ask").addEventListener("submit", (event) => {
  event.preventDefault();
  ask($("text").value.trim());
});
$("text").addEventListener("keydown", (event) => {
  if (event.key !== "Enter" || event.shiftKey || event.isComposing) return;
  event.preventDefault();
  $("ask").requestSubmit();
});
for (const idea of document.querySelectorAll(".ideas button")) {
  idea.addEventListener("click", () => ask(idea.textContent));
}
$("stop").addEventListener("click", () => {
  connection.send({ type: "stop" });
  underWay.waiting = ""; // what came and wasn't shown yet isn't wanted either
  underWay.stopping = true;
  $("stop").disabled = true;
});
$("forget").addEventListener("click", () => connection.send({ type: "forget" }));

// ---- showing

// On Lambda an answer comes in bursts: a second of it, then a gap until the route is woken again. What has come is shown
// over the next second and a half, so that the reader sees it flow.
let before = null;
function show(now) {
  const elapsed = before === null ? 0 : now - before;
  before = now;
  const { element, waiting, over } = underWay;
  if (!waiting && over !== null) {
    finish(element, over);
    return;
  }
  const pace = Math.max(30, waiting.length / 1.5); // characters in a second
  underWay.due += (pace * elapsed) / 1000;
  const count = Math.min(Math.floor(underWay.due), waiting.length);
  if (count) {
    const following = atTheEnd();
    element.querySelector("p").textContent += waiting.slice(0, count);
    underWay.waiting = waiting.slice(count);
    if (following) toTheEnd();
  }
  underWay.due %= 1;
  requestAnimationFrame(show);
}

function finish(element, over) {
  before = null;
  underWay = null;
  element.classList.remove("under-way");
  if (over) element.append(made("small", "", over));
  $("send").hidden = false;
  $("stop").hidden = true;
  $("stop").disabled = false;
  $("forget").disabled = false;
  $("text").focus();
}

function append(kind, text) {
  const element = made("li", `turn ${kind}`, made("p", "", text));
  $("turns").append(element);
  toTheEnd();
  return element;
}

const atTheEnd = () => $("log").scrollHeight - $("log").scrollTop - $("log").clientHeight < 60;
const toTheEnd = () => ($("log").scrollTop = $("log").scrollHeight);

function made(tag, className, ...children) {
  const element = document.createElement(tag);
  element.className = className;
  element.append(...children);
  return element;
}
