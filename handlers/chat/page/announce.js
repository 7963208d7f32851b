/** Announce a text in a room, or everywhere if it is null, by an HTTP request; return how many connections it reaches. */
export async function announce(room, text) {
  let answer;
  try {
    answer = await fetch("announce", {
      method: "POST",
      headers: { "Content-Type": "application/json" },
      body: JSON.stringify({ text, room }),
    });
  } catch {
    throw new Error("The server can't be reached.");
  }
  if (!answer.ok) throw new Error(`The server refused it, with status ${answer.status}.`);
  const { sent, queued } = await answer.json();
  return sent + queued;
}
