// Rooms and people, which on a phone are a sheet above the conversation.

import { $ } from "./dom.js";

const isOpen = () => document.body.classList.contains("side-open");

/** Show the sheet, or put it away; where there is room for both nothing changes. */
export function show(open) {
  document.body.classList.toggle("side-open", open);
  $("side-toggle").setAttribute("aria-expanded", String(open));
  $("talk").inert = open;
  if (open) $("side").querySelector("button").focus();
}

$("side-toggle").addEventListener("click", () => show(!isOpen()));
$("side").addEventListener("keydown", (event) => {
  if (event.key !== "Escape" || !isOpen()) return;
  show(false);
  $("side-toggle").focus();
});
addEventListener("click", ({ target }) => {
  // A row that was chosen may be gone from the sheet by now.
  if (isOpen() && target.isConnected && !$("side").contains(target) && !$("side-toggle").contains(target)) show(false);
});
