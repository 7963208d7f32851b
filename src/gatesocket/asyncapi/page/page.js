// The page: an AsyncAPI document becomes elements, and each channel a form to connect and to send.
// What a document or a server says is only ever set as textContent.

import { spans } from "./prose.js";
import { outline, resolve, sample } from "./sample.js";

const LOG_LENGTH = 200; // frames kept
const PATH_PARAMETER = "x-gatesocket-path-parameter"; // of a server that is told the path in the query
const $ = (id) => document.getElementById(id);

let api = null;

// ---- the document

function show() {
  document.title = `${api.info.title} · AsyncAPI`;
  $("title").replaceChildren(api.info.title, " ", element("small", "", api.info.version));
  $("description").replaceChildren(...prose(api.info.description));
  $("server").replaceChildren(
    ...Object.entries(api.servers).map(([name, server]) => {
      const option = element("option", "", `${name}: ${addressOf(server)}`);
      option.value = name;
      return option;
    }),
  );
  $("channels").replaceChildren(...Object.entries(api.channels).map(([id, channel]) => showChannel(id, channel)));
  if (location.hash) document.querySelector(`[id="${CSS.escape(location.hash.slice(1))}"]`)?.setAttribute("open", "");
}

function showChannel(id, channel) {
  const heading = element("summary", "", element("code", "", channel.address), element("span", "", ...prose(channel.summary)));
  const section = element("details", "channel", heading);
  section.id = id;
  section.setAttribute("aria-label", channel.address);
  if (channel.description) section.append(element("p", "prose", ...prose(reflow(channel.description))));
  const parameters = parametersOf(channel);
  const fields = parameters.map((parameter) => field(id, parameter));
  section.append(
    ...showMessages("Clients send", messagesOf(id, "receive")),
    ...showMessages("Clients get", messagesOf(id, "send")),
    tryIt(id, channel, parameters, fields),
  );
  return section;
}

/** A docstring's paragraphs, without the ends of its lines. */
const reflow = (text) => text.replaceAll(/(\S)\n(?=\S)/g, "$1 ");

/** The parameters of a handshake that a browser can send: it has no say in headers. */
function parametersOf(channel) {
  const inPath = Object.entries(channel.parameters ?? {}).map(([name, parameter]) => ({
    name,
    place: "path",
    required: true,
    schema: parameter["x-schema"] ?? {},
    description: parameter.description,
  }));
  const of = (place, schemas) =>
    Object.entries(schemas?.properties ?? {}).map(([name, schema]) => ({
      name,
      place: schema["x-in"] ?? place,
      required: schemas.required?.includes(name) ?? false,
      schema,
      description: schema.description,
    }));
  const { query, headers } = channel.bindings?.ws ?? {};
  return [...inPath, ...of("query", query), ...of("header", headers)];
}

function messagesOf(id, action) {
  const references = api.operations[`${id}.${action}`]?.messages ?? [];
  return references.map((reference) => resolve(resolve(reference, api), api));
}

function showMessages(title, messages) {
  if (!messages.length) return [];
  return [element("h3", "", title), element("ul", "messages", ...messages.map(showMessage))];
}

function showMessage(message) {
  const entry = element("li", "", element("b", "", message.title), " ", element("span", "", ...prose(message.summary)));
  const rows = members(message.payload);
  if (rows.length) entry.append(element("table", "", ...rows));
  return entry;
}

/** The members of an object, those of its objects right under them; none for anything else. */
function members(schema, prefix = "", depth = 0) {
  const resolved = resolve(schema, api);
  return Object.entries(resolved.properties ?? {}).flatMap(([name, member]) => {
    const path = `${prefix}${name}`;
    const required = resolved.required?.includes(name) ? "" : "optional";
    const row = element(
      "tr",
      "",
      element("th", "", element("code", "", path)),
      element("td", "", outline(member, api)),
      element("td", "", required),
      element("td", "", ...prose(member.description)),
    );
    return [row, ...(depth < 3 ? members(member, `${path}.`, depth + 1) : [])];
  });
}

// ---- connecting and sending

function field(id, { name, place, required, schema, description }) {
  const input = element("input", "");
  input.id = `${id}-${place}-${name}`;
  input.name = name;
  const fromBrowser = place === "path" || place === "query";
  input.disabled = !fromBrowser;
  input.required = required && fromBrowser;
  const known = schema.examples?.[0] ?? schema.default;
  if (known !== undefined && known !== null && typeof known !== "object") input.placeholder = String(known);
  const label = element("label", "", element("code", "", name), ` ${outline(schema, api)}`);
  label.htmlFor = input.id;
  const note = fromBrowser ? description : `${description ?? ""} A ${place}: pages can't set it.`;
  return element("p", "field", label, input, element("small", "", note ?? ""));
}

function tryIt(id, channel, parameters, fields) {
  const state = element("output", "state", "Not connected");
  const toggle = button("Connect", "submit");
  const text = element("textarea", "");
  text.rows = 4;
  text.setAttribute("aria-label", "Message");
  const sending = button("Send", "button");
  const frames = element("ol", "frames");
  frames.setAttribute("role", "log");
  const form = element("form", "try", ...fields, element("p", "", toggle, " ", state));
  const box = element("div", "", element("h3", "", "Try it"), form);

  const samples = messagesOf(id, "receive").map((message) => {
    const made = sample(message.payload, api);
    const choose = button(message.title, "button");
    choose.addEventListener("click", () => (text.value = isText(message) ? made : JSON.stringify(made, null, 2)));
    return choose;
  });
  samples[0]?.click();
  box.append(element("p", "samples", ...samples), text, element("p", "", sending), frames);

  let socket = null;
  const tell = (words, open) => {
    state.textContent = words;
    toggle.textContent = open ? "Disconnect" : "Connect";
    sending.disabled = socket?.readyState !== WebSocket.OPEN;
  };
  tell("Not connected", false);
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    if (socket) {
      socket.close(1000);
      return;
    }
    const values = new Map(parameters.map(({ place, name }, at) => [`${place} ${name}`, fields[at].querySelector("input")]));
    const opened = new WebSocket(urlOf(api.servers[$("server").value], channel, values));
    socket = opened;
    tell("Connecting", true);
    opened.onopen = () => tell("Connected", true);
    opened.onmessage = ({ data }) => log(frames, "got", typeof data === "string" ? data : `${data.size} bytes`);
    opened.onclose = ({ code, reason }) => {
      socket = null;
      tell(`Closed with ${code}${reason ? `: ${reason}` : ""}`, false);
    };
  });
  sending.addEventListener("click", () => {
    const message = compact(text.value);
    socket.send(message);
    log(frames, "sent", message);
  });
  return box;
}

/** JSON that was laid out to be read goes out on one line; any other text as it is. */
function compact(text) {
  try {
    return JSON.stringify(JSON.parse(text));
  } catch {
    return text;
  }
}

const isText = (message) => message.contentType === "text/plain";

const addressOf = ({ protocol, host, pathname = "" }) => `${protocol}://${host}${pathname}`;

function urlOf(server, channel, values) {
  const path = channel.address.replaceAll(/{([^}]+)}/g, (_, name) =>
    values.get(`path ${name}`).value.split("/").map(encodeURIComponent).join("/"),
  );
  const url = new URL(addressOf(server));
  if (server[PATH_PARAMETER]) url.searchParams.set(server[PATH_PARAMETER], decodeURIComponent(path));
  else url.pathname = `${server.pathname ?? ""}${path}`;
  for (const [key, input] of values) {
    const [place, name] = key.split(" ");
    if (place === "query" && input.value) url.searchParams.append(name, input.value);
  }
  return url;
}

function log(frames, direction, text) {
  const time = element("time", "", new Date().toLocaleTimeString());
  frames.append(element("li", direction, time, " ", element("b", "", direction), " ", element("code", "", text)));
  while (frames.childElementCount > LOG_LENGTH) frames.firstElementChild.remove();
  frames.lastElementChild.scrollIntoView({ block: "nearest" });
}

// ---- elements

function element(name, className, ...children) {
  const made = document.createElement(name);
  if (className) made.className = className;
  made.append(...children);
  return made;
}

/** A description as text and elements. */
const prose = (text) => spans(text ?? "").map(([kind, part]) => (kind ? element(kind, "", part) : part));

function button(text, type) {
  const made = element("button", "", text);
  made.type = type;
  return made;
}

// ---- last, when everything above is there

try {
  const response = await fetch(document.body.dataset.document);
  if (!response.ok) throw new Error(`the server answered ${response.status}`);
  api = await response.json();
  show();
} catch (error) {
  $("problem").textContent = `The document can't be shown: ${error.message}`;
}
