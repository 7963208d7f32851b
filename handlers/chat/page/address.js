/** The address of a room's socket: on this host, or at *gateway*, which knows no paths and is told in the query. */
export function addressOf(room, name, gateway = "") {
  const url = gateway ? new URL(gateway) : new URL(`ws/${encodeURIComponent(room)}`, document.baseURI);
  url.protocol = url.protocol.replace("http", "ws");
  url.search = "";
  if (gateway) url.searchParams.set("__path", `/ws/${room}`);
  url.searchParams.set("name", name);
  return url;
}
