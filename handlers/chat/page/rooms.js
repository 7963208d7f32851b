// The rooms that one has been in, the latest visit first.

const KEPT = 8;

/** The rooms after a visit to *room*: it stays where it is in the list if it is there. */
export function visited(rooms, room) {
  return rooms.includes(room) ? rooms : [room, ...rooms].slice(0, KEPT);
}

/** What was remembered as rooms, as far as it is some. */
export function recalled(value) {
  return Array.isArray(value) ? value.filter((room) => typeof room === "string" && room).slice(0, KEPT) : [];
}

/** Ask how many connections each room has; a room of which that can't be told is left out. */
export async function countsOf(rooms) {
  const counts = await Promise.all(
    rooms.map(async (room) => {
      try {
        const answer = await fetch(`connections?room=${encodeURIComponent(room)}`);
        return [room, (await answer.json()).connections];
      } catch {
        return [room, null];
      }
    }),
  );
  return counts.filter(([, count]) => Number.isInteger(count));
}
