// What the browser remembers from one visit to the next, where it lets us.

/** Remember a value, under a name of this page's own. */
export function remember(name, value) {
  try {
    localStorage.setItem(`chat-${name}`, JSON.stringify(value));
  } catch {
    // Storage is switched off: it is forgotten with the tab, nothing else.
  }
}

/** Recall what was remembered; null if nothing was, or if it can't be read. */
export function recall(name) {
  try {
    return JSON.parse(localStorage.getItem(`chat-${name}`));
  } catch {
    return null;
  }
}
