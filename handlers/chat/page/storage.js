// What the browser remembers from one visit to the next, where it lets us.

// Where: in the browser, or in this tab only. Functions, because to look at either may be forbidden.
const browser = () => localStorage;
export const tab = () => sessionStorage;

/** Remember a value, under a name of this page's own. */
export function remember(name, value, where = browser) {
  try {
    where().setItem(`chat-${name}`, JSON.stringify(value));
  } catch {
    // Storage is switched off: it is forgotten with the tab, nothing else.
  }
}

/** Recall what was remembered; null if nothing was, or if it can't be read. */
export function recall(name, where = browser) {
  try {
    return JSON.parse(where().getItem(`chat-${name}`));
  } catch {
    return null;
  }
}
