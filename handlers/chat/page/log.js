// The conversation: what was said in the room, and what has happened in it.

import { $, avatar, button, element, time } from "./dom.js";

const LENGTH = 500; // entries kept

const left = new Map(); // room -> the entries that were seen there, for when one comes back to it
let room = null;
let unread = 0;

/** Show the conversation of a room as it was left; return whether there is one. */
export function enter(name) {
  const entries = left.get(name) ?? [];
  room = name;
  $("entries").replaceChildren(...entries);
  $("newer").hidden = true;
  toTheEnd();
  return entries.length > 0;
}

/** Put the conversation aside. */
export function leave() {
  if (room !== null) left.set(room, [...$("entries").children]);
  room = null;
}

/** Add an entry at the end. Whoever reads older ones isn't dragged there. */
export function append(entry) {
  const entries = $("entries");
  if (entry.classList.contains("notice") && entries.lastElementChild?.isEqualNode(entry)) return;
  const following = atTheEnd();
  entries.append(entry);
  while (entries.childElementCount > LENGTH) entries.firstElementChild.remove();
  if (following) toTheEnd();
  else $("newer").hidden = false;
  if (document.hidden && !entry.classList.contains("notice")) {
    unread += 1;
    document.title = `(${unread}) ${room} · Gatesocket chat`;
  }
}

const atTheEnd = () => $("log").scrollHeight - $("log").scrollTop - $("log").clientHeight < 80;
export const toTheEnd = () => ($("log").scrollTop = $("log").scrollHeight);

$("newer").addEventListener("click", toTheEnd);
$("log").addEventListener("scroll", () => {
  if (atTheEnd()) $("newer").hidden = true;
});
// A drawer that opens or a keyboard that comes up must not hide what was said last.
let height = $("log").clientHeight;
new ResizeObserver(() => {
  const followed = $("log").scrollHeight - $("log").scrollTop - height < 80;
  height = $("log").clientHeight;
  if (followed) toTheEnd();
}).observe($("log"));
document.addEventListener("visibilitychange", () => {
  if (document.hidden) return;
  unread = 0;
  document.title = "Gatesocket chat";
});

/** Make the entry of a text that somebody said. *personal* says to whom alone; *reply* answers it. */
export function message(name, text, { mine, number, personal, reply }) {
  const head = element("p", "head", element("b", "", mine ? "You" : name), time(new Date()));
  if (number) {
    const count = element("span", "number", `#${number}`);
    count.title = "Counted by a local variable of the route, which outlives every single message";
    head.append(count);
  }
  if (personal) head.append(element("span", "personal-to", personal));
  const body = element("div", "body", element("p", "text", text));
  if (reply) body.append(button("quiet", "Reply", reply));
  const entry = element("li", "message", avatar(name), head, body);
  entry.classList.toggle("mine", mine);
  entry.classList.toggle("personal", Boolean(personal));
  return entry;
}

/** Make the entry of something that has happened. */
export function notice(text, kind = "") {
  const entry = element("li", `notice ${kind}`, text);
  if (kind === "error") entry.role = "alert";
  return entry;
}

/** Make the entry of an announcement. */
export function announcement(text) {
  return element("li", "announcement", element("b", "", "Announcement"), element("span", "", text));
}

/** Make the entry of a job; its methods say how far it is and what comes of it. */
export function job(title) {
  const bar = element("progress", "");
  bar.max = 100;
  bar.ariaLabel = title;
  const state = element("span", "job-state", "waiting");
  const entry = element("li", "job", element("b", "", title), state, bar);
  const end = (text, kind) => {
    entry.classList.add(kind);
    state.textContent = text;
  };
  return {
    entry,
    progress(percent) {
      bar.value = percent;
      state.textContent = `${percent} %`;
    },
    done(text) {
      bar.value = 100;
      end(text, "done");
    },
    failed(text) {
      bar.remove();
      end(text, "failed");
    },
  };
}
