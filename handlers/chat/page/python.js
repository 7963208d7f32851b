// Python in colours: enough to read a route by, not a parser.

const KEYWORDS =
  "and as assert async await break case class continue def del elif else except finally for from global if import in is " +
  "lambda match nonlocal not or pass raise return try while with yield None True False";

const TOKEN = new RegExp(
  [
    /(?<comment>#.*)/u,
    /(?<string>(?<!\w)[rbf]{0,2}(?:"(?:\\.|[^"\\])*"?|'(?:\\.|[^'\\])*'?))/u,
    /(?<decorator>^\s*@[\w.]+)/u,
    /(?<number>\b\d[\d_.]*\b)/u,
    new RegExp(`(?<keyword>\\b(?:${KEYWORDS.split(" ").join("|")})\\b)`, "u"),
  ]
    .map(({ source }) => source)
    .join("|"),
  "gu",
);

/** Cut lines of Python into [kind, text] pairs, a list for each line; null is the kind of what has no colour. */
export function highlighted(lines) {
  let inDocstring = false;
  return lines.map((line) => {
    const quotes = line.split('"""').length - 1;
    const whole = inDocstring || (quotes && /^\s*[rbf]?"""/u.test(line));
    if (quotes % 2) inDocstring = !inDocstring;
    return whole ? [["string", line]] : tokens(line);
  });
}

function tokens(line) {
  const found = [];
  let end = 0;
  for (const match of line.matchAll(TOKEN)) {
    if (match.index > end) found.push([null, line.slice(end, match.index)]);
    found.push([Object.entries(match.groups).find(([, text]) => text !== undefined)[0], match[0]]);
    end = match.index + match[0].length;
  }
  if (end < line.length) found.push([null, line.slice(end)]);
  return found;
}
