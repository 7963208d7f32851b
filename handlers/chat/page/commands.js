// What can be typed instead of a text: "/primes 100000" and "/announce The museum closes".

export const MOST = 1_000_000; // the server refuses to count further

/**
 * Read what somebody has typed: {say}, {primes}, {announce}, or {mistake}, which says what is wrong with a command. A
 * text that begins with a slash and isn't one of the commands is said as it is.
 */
export function read(text) {
  const [, name, rest] = /^\/(primes|announce)(?:\s+|$)(.*)$/su.exec(text) ?? [];
  if (name === "announce") return rest ? { announce: rest } : { mistake: "What is to be announced? /announce The museum closes" };
  if (name !== "primes") return { say: text };
  const below = Number(rest.replaceAll(/[\s,_.]/gu, ""));
  if (rest && Number.isInteger(below) && below >= 2 && below <= MOST) return { primes: below };
  return { mistake: `Below which number, from 2 to ${MOST.toLocaleString("en")}? /primes 100000` };
}
