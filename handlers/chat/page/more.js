// The menu beside the text, and its dialogs: what can be done besides talking.

import { $ } from "./dom.js";

/**
 * Let the reader announce and count. *room* gives the room's name; *announce* takes a room, or null for everywhere, and a
 * text, and may fail; *count* takes a number.
 */
export function offer({ room, announce, count }) {
  for (const what of ["announce", "primes"]) {
    $(`${what}-open`).addEventListener("click", () => {
      $("more").open = false;
      $("announce-room").textContent = room();
      $("announce-error").hidden = true;
      $(what).showModal();
    });
    $(what).querySelector("[data-close]").addEventListener("click", () => $(what).close());
  }

  $("announce-form").addEventListener("submit", async (event) => {
    event.preventDefault();
    const where = event.target.elements.scope.value === "room" ? $("announce-room").textContent : null;
    try {
      await announce(where, $("announcement").value.trim());
      $("announcement").value = "";
      $("announce").close();
    } catch ({ message }) {
      $("announce-error").textContent = message;
      $("announce-error").hidden = false;
    }
  });

  $("primes-form").addEventListener("submit", (event) => {
    event.preventDefault();
    count($("below").valueAsNumber);
    $("primes").close();
  });
}

addEventListener("click", ({ target }) => {
  if (!$("more").contains(target)) $("more").open = false;
});
$("more").addEventListener("keydown", (event) => {
  if (event.key !== "Escape" || !$("more").open) return;
  $("more").open = false;
  $("more").querySelector("summary").focus();
});
