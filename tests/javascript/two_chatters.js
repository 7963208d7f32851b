// Two clients chat with each other, one line after the other, while each takes over from itself every half second.
// The address and the number of lines are arguments; what was heard is printed as JSON.

import { Connection } from "../../src/gatesocket/client/javascript/connection.js";

const [, , url, count] = process.argv;
const HAND_OVER = 500; // ms
const pause = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

function chatter(name) {
  const told = { heard: [], sockets: 0, opened: 0, welcomed: false };
  class Counted extends WebSocket {
    constructor(...where) {
      super(...where);
      told.sockets += 1;
    }
  }
  const connection = new Connection(`${url}/ws/node?name=${name}`, {
    ping: { type: "ping" },
    silence: 500,
    handOverAfter: HAND_OVER,
    handOverSpread: 0,
    overlap: 300,
    ready: ({ type }) => type === "welcome",
    key: ({ type, data }) => (type === "said" ? JSON.stringify(data) : null),
    WebSocket: Counted,
  });
  connection.addEventListener("message", ({ detail: { type, data } }) => {
    if (type === "welcome") told.welcomed = true;
    if (type === "said") told.heard.push(data.text);
  });
  connection.addEventListener("state", ({ detail }) => (told.opened += detail.state === "open"));
  connection.open();
  return { connection, told };
}

async function until(condition) {
  for (let tries = 0; !condition(); tries += 1) {
    if (tries === 3000) throw new Error("it took more than half a minute");
    await pause(10);
  }
}

const both = [chatter("ann"), chatter("bob")];
await until(() => both.every(({ told }) => told.welcomed));
for (let number = 0; number < Number(count); number += 1) {
  const text = `line ${String(number).padStart(2, "0")}`;
  both[number % 2].connection.send({ type: "say", data: { text } });
  await until(() => both.every(({ told }) => told.heard.includes(text)));
  await pause((4 * HAND_OVER) / Number(count)); // so that there are hand-overs
}
for (const { connection } of both) connection.close();
const all = (name) => both.map(({ told }) => told[name]);
console.log(JSON.stringify({ heard: all("heard"), sockets: all("sockets"), opened: all("opened")[0] + all("opened")[1] }));
