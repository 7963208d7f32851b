/** The element with an id. */
export const $ = (id) => document.getElementById(id);

/** Make an element. Texts come from strangers: what is a string becomes text, never markup. */
export function element(tag, className, ...children) {
  const made = document.createElement(tag);
  made.className = className;
  made.append(...children);
  return made;
}

/** Make a button that does something. */
export function button(className, text, act) {
  const made = element("button", className, text);
  made.type = "button";
  made.addEventListener("click", act);
  return made;
}

/** Make the picture of a person: a letter on the colour of their name. */
export function avatar(name) {
  const circle = element("span", "avatar", [...name][0].toUpperCase());
  circle.setAttribute("aria-hidden", "true");
  let sum = 0;
  for (const letter of name) sum = (sum * 31 + letter.codePointAt(0)) % 65_536;
  const hue = (sum * 137.5) % 360; // the golden angle: names that are nearly the same don't look the same
  circle.style.setProperty("--hue", hue);
  return circle;
}

/** Make the time of an event, as the reader's clock shows it. */
export function time(at, options = { hour: "2-digit", minute: "2-digit" }) {
  const stamp = element("time", "", at.toLocaleTimeString([], options));
  stamp.dateTime = at.toISOString();
  return stamp;
}
