// The page: what it looks at is in the address, what comes becomes a chart.
// Names come from strangers. They are only ever set as textContent.

import { Connection } from "../client/connection.js";

const KEPT = 90; // points of a chart
const HUES = [245, 160, 30, 320, 85, 200];
const STATES = { connecting: "Connecting", open: "Live", waiting: "Reconnecting", refused: "Refused", closed: "Not connected" };
const $ = (id) => document.getElementById(id);

const address = new URL(location.href);
const charts = new Map(); // name -> Chart
const known = new Map(); // name -> {label, unit, hue}
let shown = new Set(address.searchParams.get("series")?.split(",").filter(Boolean) ?? ["load", "requests", "latency"]);

// ---- the connection

const connection = new Connection(socketAddress(), { ping: { type: "ping" } });
connection.addEventListener("message", ({ detail: { type, data } }) => on[type]?.(data));
connection.addEventListener("state", ({ detail: { state } }) => {
  document.body.dataset.state = state;
  $("state").textContent = STATES[state];
});
connection.open();

function socketAddress() {
  const gateway = address.searchParams.get("gateway") ?? document.querySelector("meta[name=gateway]").content;
  const url = new URL(gateway || "ws/live", document.baseURI);
  url.protocol = url.protocol.replace("http", "ws");
  url.search = "";
  if (gateway) url.searchParams.set("__path", "/ws/live");
  return url;
}

const say = (type, series) => connection.send({ type, data: { series } });

const subscribed = new EventTarget(); // tells the name of a series once it is subscribed to
const subscribedTo = (series) => new Promise((resolve) => subscribed.addEventListener(series, resolve, { once: true }));

const on = {
  welcome({ series }) {
    for (const { name, label, unit } of series) know(name, label, unit);
    for (const name of shown) {
      know(name);
      say("subscribe", name); // also after a reconnect: a new connection knows nothing of the one before
    }
    listSeries();
  },
  subscribed({ series, points }) {
    // Of a series that others measure the server keeps nothing; the page has what it has seen.
    if (shown.has(series) && (points.length || !charts.has(series))) chart(series).show(points);
    subscribed.dispatchEvent(new Event(series));
  },
  measured({ series, at, value }) {
    if (shown.has(series)) chart(series).add({ at, value });
  },
};

// ---- what to look at

function know(name, label = name, unit = "") {
  if (!known.has(name)) known.set(name, { label, unit, hue: HUES[known.size % HUES.length] });
}

function listSeries() {
  $("series").replaceChildren(
    ...[...known].map(([name, { label, unit, hue }]) => {
      const box = element("input");
      box.type = "checkbox";
      box.checked = shown.has(name);
      box.addEventListener("change", () => look(name, box.checked));
      const choice = element("label", "choice", box, element("span", "", label), element("small", "", unit));
      choice.style.setProperty("--hue", hue);
      return element("li", "", choice);
    }),
  );
}

function look(name, wanted) {
  know(name);
  if (wanted) {
    shown.add(name);
    say("subscribe", name);
  } else {
    shown.delete(name);
    say("unsubscribe", name);
    charts.get(name)?.element.remove();
    charts.delete(name);
  }
  address.searchParams.set("series", [...shown].join(","));
  history.replaceState(null, "", address);
  listSeries();
}

$("measure").addEventListener("submit", async (event) => {
  event.preventDefault();
  const series = $("name").value;
  if (!shown.has(series)) {
    look(series, true);
    await subscribedTo(series); // to see it, too
  }
  try {
    const response = await fetch("measurements", {
      method: "POST",
      headers: { "content-type": "application/json" },
      body: JSON.stringify({ series, value: $("value").valueAsNumber }),
    });
    const { sent } = await response.json();
    $("sent").textContent = response.ok ? `Seen by ${sent}.` : "The server didn't take it.";
  } catch {
    $("sent").textContent = "The server can't be reached.";
  }
});

// ---- charts

class Chart {
  #points = [];

  constructor(name) {
    const { label, unit, hue } = known.get(name);
    this.value = element("span", "", "–");
    this.low = element("span");
    this.high = element("span");
    this.area = drawn("path", { class: "area" });
    this.line = drawn("path", { class: "line" });
    const picture = drawn("svg", { viewBox: "0 0 100 40", preserveAspectRatio: "none", role: "img", "aria-label": label });
    picture.append(...[0, 20, 40].map((y) => drawn("line", { class: "grid", x1: 0, x2: 100, y1: y, y2: y })), this.area, this.line);
    const scale = element("p", "scale", this.low, this.high);
    this.element = element("article", "chart", element("h2", "", label), element("p", "value", this.value, " ", element("small", "", unit)), picture, scale);
    this.element.style.setProperty("--hue", hue);
    $("charts").append(this.element);
  }

  show(points) {
    this.#points = points;
    this.#draw();
  }

  add(point) {
    if (point.at <= (this.#points.at(-1)?.at ?? 0)) return; // seen already, before a reconnect
    this.#points = [...this.#points, point].slice(-KEPT);
    this.#draw();
  }

  #draw() {
    if (!this.#points.length) return;
    const values = this.#points.map(({ value }) => value);
    const [low, high] = [Math.min(...values), Math.max(...values)];
    const [first, last] = [this.#points[0].at, this.#points.at(-1).at];
    const x = (at) => (last > first ? ((at - first) / (last - first)) * 100 : 100);
    const y = (value) => (high > low ? 38 - ((value - low) / (high - low)) * 36 : 20);
    const spots = this.#points.map(({ at, value }) => `${x(at).toFixed(2)},${y(value).toFixed(2)}`);
    if (spots.length === 1) spots.unshift("0,20"); // one value is a level line
    this.line.setAttribute("d", `M${spots.join("L")}`);
    this.area.setAttribute("d", `M0,40L${spots.join("L")}L100,40Z`);
    this.value.textContent = number(values.at(-1));
    this.low.textContent = `from ${number(low)} to ${number(high)}`;
    this.high.textContent = new Date(last * 1000).toLocaleTimeString();
  }
}

function chart(name) {
  if (!charts.has(name)) charts.set(name, new Chart(name));
  return charts.get(name);
}

const number = (value) => value.toLocaleString(undefined, { maximumFractionDigits: 1 });

function element(tag, className = "", ...children) {
  const made = document.createElement(tag);
  if (className) made.className = className;
  made.append(...children);
  return made;
}

function drawn(tag, attributes) {
  const made = document.createElementNS("http://www.w3.org/2000/svg", tag);
  for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
  return made;
}
