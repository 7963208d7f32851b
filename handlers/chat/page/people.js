// Names of people, in words.

/** Put names, each once, in the order in which they are listed. */
export function inOrder(names) {
  return [...new Set(names)].sort((one, other) => one.localeCompare(other, undefined, { numeric: true }));
}

/** Say who is there, in a few words. */
export function summary(names, me) {
  const others = inOrder(names).filter((name) => name !== me);
  if (!others.length) return "only you";
  if (others.length === 1) return `you and ${others[0]}`;
  if (others.length === 2) return `you, ${others[0]} and ${others[1]}`;
  return `you, ${others[0]} and ${others.length - 1} others`;
}

/** Say who is typing; empty if nobody is. */
export function typingLine(names) {
  if (!names.length) return "";
  if (names.length === 1) return `${names[0]} is typing`;
  if (names.length === 2) return `${names[0]} and ${names[1]} are typing`;
  return `${names.length} people are typing`;
}
