// The drawer: what goes over the wire, and where the server's route waits meanwhile.

import { $, element, time } from "./dom.js";
import { Frames, pretty, preview, size } from "./frames.js";
import { highlighted } from "./python.js";

const SETTLED = 150; // ms after the last frame: the route has come back to its receive
const AGAIN = 400; // ms, if it runs just then
const CLOCK = { hour: "2-digit", minute: "2-digit", second: "2-digit", fractionalSecondDigits: 3, hourCycle: "h23" };

let connection = null; // the id of the connection whose route is looked at
let version = null; // of the route, as it is shown
let shown = null; // the places that are shown, as JSON
let look = null;

// ---- the frames

export const frames = new Frames(
  (entry) => {
    const following = atTheEnd();
    $("frames").append(row(entry));
    $("frames-count").textContent = frames.entries.length;
    if (following) toTheEnd();
    lookSoon();
  },
  () => $("frames").firstElementChild.remove(),
);

const ARROWS = { in: "↓", out: "↑" };
const DIRECTIONS = { in: "received", out: "sent" };

function row({ at, direction, text, type, bytes }) {
  if (direction === "change") return element("li", "change", time(at, CLOCK), element("span", "", text));
  const arrow = element("span", "arrow", ARROWS[direction]);
  arrow.role = "img";
  arrow.ariaLabel = DIRECTIONS[direction];
  const summary = element("summary", "", time(at, CLOCK), arrow, element("b", "", type), element("span", "data", preview(text)), element("span", "size", size(bytes)));
  const details = element("details", "", summary);
  // Made when it is asked for: most frames are never opened.
  details.addEventListener("toggle", () => details.childElementCount > 1 || details.append(element("pre", "", pretty(text))));
  return element("li", direction, details);
}

const list = () => $("frames");
const atTheEnd = () => list().scrollHeight - list().scrollTop - list().clientHeight < 40;
const toTheEnd = () => (list().scrollTop = list().scrollHeight);

$("frames-clear").addEventListener("click", () => {
  frames.clear();
  list().replaceChildren();
  $("frames-count").textContent = "";
});

$("frames-copy").addEventListener("click", async () => {
  const copied = await navigator.clipboard.writeText(`${frames}`).then(
    () => "Copied",
    () => "Not allowed",
  );
  $("frames-copy").textContent = copied;
  setTimeout(() => ($("frames-copy").textContent = "Copy"), 1500);
});

// ---- where the route waits

/** Look at the route of another connection from now on; null for none. */
export function follow(id) {
  connection = id;
  version = null;
  if (id === null) show("There is no connection, and so no route.");
  else lookSoon();
}

function lookSoon(delay = SETTLED) {
  clearTimeout(look);
  if (connection !== null && isOpen()) look = setTimeout(find, delay);
}

async function find() {
  const asked = connection;
  const { route, problem } = await routeOf(asked);
  if (asked !== connection) return;
  if (route) {
    showRoute(route);
    return;
  }
  // It won't be there the next time either, nor will this deployment change its mind.
  connection = null;
  show(problem);
}

async function routeOf(id) {
  try {
    const answer = await fetch(`connections/${encodeURIComponent(id)}/whereabouts`);
    const body = await answer.json();
    return answer.ok ? { route: body } : { problem: body.detail };
  } catch {
    return { problem: "The server can't be asked where it is." };
  }
}

function showRoute({ hibernates, bytes, runs, version: now, waiting }) {
  if (runs) lookSoon(AGAIN);
  if (!waiting.length) {
    show(runs ? "It runs, and hasn't come to its first receive." : "It waits for nothing: it has ended.");
    return;
  }
  // On Lambda each time that an invocation takes the connection up and lays it down raises the number by two.
  const woken = Math.floor(now / 2);
  if (!hibernates) show("Waits in the memory of the server's process, as ever under uvicorn. In the cloud it would hibernate.", "in-memory");
  else if (runs) show("Runs at this moment. Here it hibernated last.", "runs");
  else show(`Hibernates as ${size(bytes)} in the connections table; no process has it. Woken ${woken === 1 ? "once" : `${woken} times`} so far.`, "hibernates");
  const places = JSON.stringify(waiting);
  if (places !== shown) {
    $("route-places").replaceChildren(...waiting.map((place) => listing(place, hibernates)));
    for (const line of waits()) line.parentElement.scrollTop = line.offsetTop - line.parentElement.clientHeight / 2;
  } else if (version !== now) {
    for (const line of waits()) line.animate({ opacity: [0.3, 1] }, { duration: still.matches ? 0 : 600 });
  }
  shown = places;
  version = now;
}

const waits = () => $("route-places").querySelectorAll(".waits");
const still = matchMedia("(prefers-reduced-motion: reduce)");

function show(text, kind = "") {
  $("route-state").textContent = text;
  $("route-state").className = `route-state ${kind}`;
  if (kind) return;
  $("route-places").replaceChildren();
  shown = null;
}

function listing({ file, function: name, line, names, first, source }, hibernates) {
  const lines = highlighted(source).map((tokens, index) => {
    const code = element("code", "", ...tokens.map(([kind, text]) => (kind ? element("span", kind, text) : text)), "\n");
    const made = element("span", "line", code);
    made.dataset.number = first + index;
    if (first + index === line) {
      made.classList.add("waits");
      made.append(element("span", "badge", hibernates ? "hibernates here" : "waits here"));
    }
    return made;
  });
  const pre = element("pre", "source", ...lines);
  pre.tabIndex = 0;
  pre.role = "region";
  pre.ariaLabel = `Source of ${name}`;
  const kept = element("ul", "kept", ...names.map((each) => element("li", "", element("code", "", each))));
  return element(
    "div",
    "place",
    element("p", "at", element("code", "", `${file}:${line}`), ` in ${name}`),
    pre,
    element("p", "kept-label", hibernates ? "Locals that are kept, by name" : "Locals in memory, by name"),
    kept,
  );
}

// ---- opening and closing

const isOpen = () => !$("drawer").hidden;

/** Open the drawer, or close it. */
export function toggle(open = !isOpen()) {
  $("drawer").hidden = !open;
  $("drawer-toggle").setAttribute("aria-expanded", String(open));
  document.body.classList.toggle("drawer-open", open);
  if (open) {
    toTheEnd();
    lookSoon();
    $("drawer-close").focus();
  } else {
    $("drawer-toggle").focus();
  }
}

$("drawer-toggle").addEventListener("click", () => toggle());
$("drawer-close").addEventListener("click", () => toggle(false));
$("drawer").addEventListener("keydown", (event) => {
  if (event.key === "Escape") toggle(false);
});

/** Close the drawer, if it is open. */
export function close() {
  if (isOpen()) toggle(false);
}
