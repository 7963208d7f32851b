// A description as its parts: what docstrings mark, in Markdown or reStructuredText, is `code` or *emphasised*.

const MARKED = /(`{1,2})([^`]+)\1|\*([^*\s](?:[^*]*[^*\s])?)\*/g;

/** Part `text` into `[kind, text]`; a kind is the name of an element, or null for plain text. */
export function spans(text) {
  const parts = [];
  let end = 0;
  for (const found of text.matchAll(MARKED)) {
    if (found.index > end) parts.push([null, text.slice(end, found.index)]);
    parts.push(found[2] === undefined ? ["em", found[3]] : ["code", found[2]]);
    end = found.index + found[0].length;
  }
  if (end < text.length) parts.push([null, text.slice(end)]);
  return parts;
}
