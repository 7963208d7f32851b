// JSON schemas as an AsyncAPI document has them: what a value may look like, and its type in a few words.

const DEEPEST = 20; // a schema may refer to itself

/** The schema that *schema* refers to, or itself. */
export function resolve(schema, document) {
  for (let count = 0; schema?.$ref && count < DEEPEST; count += 1) {
    schema = schema.$ref
      .slice(2)
      .split("/")
      .reduce((value, key) => value?.[key.replaceAll("~1", "/").replaceAll("~0", "~")], document);
  }
  return schema ?? {};
}

/** A value that fits *schema*: its example or default, else one made up; optional members of an object are left out. */
export function sample(schema, document, depth = 0) {
  schema = resolve(schema, document);
  if (schema.examples?.length) return schema.examples[0];
  if ("default" in schema) return schema.default;
  if ("const" in schema) return schema.const;
  if (schema.enum) return schema.enum[0];
  if (depth > DEEPEST) return null;
  const inner = (other) => sample(other, document, depth + 1);
  const choice = schema.anyOf ?? schema.oneOf;
  if (choice) return inner(choice[0]);
  if (schema.allOf) return Object.assign({}, ...schema.allOf.map(inner));
  switch (schema.type) {
    case "object": {
      const required = Object.entries(schema.properties ?? {}).filter(([name]) => schema.required?.includes(name));
      return Object.fromEntries(required.map(([name, member]) => [name, inner(member)]));
    }
    case "array":
      if (Array.isArray(schema.items)) return schema.items.map(inner);
      return Array.from({ length: schema.minItems ?? 0 }, () => inner(schema.items));
    case "string":
      return { "date-time": "2026-01-31T12:00:00Z", date: "2026-01-31", time: "12:00:00Z" }[schema.format] ?? "text";
    case "integer":
    case "number":
      return schema.minimum ?? (schema.exclusiveMinimum === undefined ? 0 : schema.exclusiveMinimum + 1);
    case "boolean":
      return false;
    default:
      return null;
  }
}

/** The type that *schema* stands for, such as "integer, at least 2" or "a list of Item". */
export function outline(schema, document) {
  if (schema.$ref) return schema.$ref.split("/").at(-1);
  if ("const" in schema) return JSON.stringify(schema.const);
  if (schema.enum) return schema.enum.map((value) => JSON.stringify(value)).join(" or ");
  const choice = schema.anyOf ?? schema.oneOf;
  if (choice) return choice.map((other) => outline(other, document)).join(" or ");
  if (schema.type === "array" && !Array.isArray(schema.items)) return `a list of ${outline(schema.items ?? {}, document)}`;
  const said = LIMITS.filter(([key]) => key in schema).map(([key, before, after]) => `${before} ${schema[key]}${after}`);
  return [schema.format ?? schema.type ?? "anything", ...said].join(", ");
}

const LIMITS = [
  ["minimum", "at least", ""],
  ["exclusiveMinimum", "more than", ""],
  ["maximum", "at most", ""],
  ["exclusiveMaximum", "less than", ""],
  ["minLength", "at least", " characters"],
  ["maxLength", "at most", " characters"],
  ["minItems", "at least", " entries"],
  ["maxItems", "at most", " entries"],
  ["pattern", "matching", ""],
];
