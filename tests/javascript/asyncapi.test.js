// What the AsyncAPI page makes of schemas and descriptions.

import assert from "node:assert/strict";
import { test } from "node:test";

import { spans } from "../../src/gatesocket/asyncapi/page/prose.js";
import { outline, resolve, sample } from "../../src/gatesocket/asyncapi/page/sample.js";

const document = {
  components: {
    schemas: {
      Say: { type: "object", properties: { text: { type: "string" }, loud: { type: "boolean" } }, required: ["text"] },
      Tree: { type: "object", properties: { left: { $ref: "#/components/schemas/Tree" } }, required: ["left"] },
      Loop: { $ref: "#/components/schemas/Loop" },
      "a/b~c": { const: "escaped" },
    },
  },
};
const to = (name) => ({ $ref: `#/components/schemas/${name}` });

test("a reference is followed, wherever it leads", () => {
  assert.equal(resolve(to("Say"), document).type, "object");
  assert.deepEqual(resolve(to("a~1b~0c"), document), { const: "escaped" });
  assert.deepEqual(resolve(to("Missing"), document), {});
  assert.deepEqual(resolve(undefined, document), {});
  assert.ok(resolve(to("Loop"), document)); // ends
});

test("a sample has what is required and no more", () => {
  assert.deepEqual(sample(to("Say"), document), { text: "text" });
});

test("a sample is the schema's own, where it has one", () => {
  assert.equal(sample({ type: "string", examples: ["ann"], default: "bob" }), "ann");
  assert.equal(sample({ type: "string", default: "bob" }), "bob");
  assert.equal(sample({ const: "say" }), "say");
  assert.equal(sample({ enum: ["red", "blue"] }), "red");
});

test("a sample fits each type and its limits", () => {
  assert.equal(sample({ type: "integer", minimum: 2 }), 2);
  assert.equal(sample({ type: "number", exclusiveMinimum: 2 }), 3);
  assert.equal(sample({ type: "number" }), 0);
  assert.equal(sample({ type: "boolean" }), false);
  assert.equal(sample({ type: "null" }), null);
  assert.equal(sample({}), null);
  assert.equal(sample({ type: "string", format: "date" }), "2026-01-31");
  assert.deepEqual(sample({ type: "object" }), {});
  assert.deepEqual(sample({ type: "array", items: { type: "boolean" }, minItems: 2 }), [false, false]);
  assert.deepEqual(sample({ type: "array", items: [{ type: "integer" }, { type: "string" }] }), [0, "text"]);
  assert.equal(sample({ anyOf: [{ type: "string" }, { type: "null" }] }), "text");
  assert.deepEqual(sample({ allOf: [to("Say"), { properties: { id: { const: 1 } }, required: ["id"], type: "object" }] }, document), {
    text: "text",
    id: 1,
  });
});

test("a schema that needs itself has a sample that ends", () => {
  let depth = 0;
  for (let tree = sample(to("Tree"), document); tree !== null; tree = tree.left) depth += 1;
  assert.equal(depth, 21);
});

test("a type is told in a few words", () => {
  assert.equal(outline(to("Say")), "Say");
  assert.equal(outline({ const: "say" }), '"say"');
  assert.equal(outline({ enum: ["red", 1] }), '"red" or 1');
  assert.equal(outline({ anyOf: [{ type: "string" }, { type: "null" }] }), "string or null");
  assert.equal(outline({ type: "array", items: to("Say") }), "a list of Say");
  assert.equal(outline({ type: "array" }), "a list of anything");
  assert.equal(outline({ type: "string", maxLength: 40 }), "string, at most 40 characters");
  assert.equal(outline({ type: "string", format: "date" }), "date");
});

test("what a docstring marks is an element", () => {
  assert.deepEqual(spans("Join *room* as `name`, or ``?token=`` so."), [
    [null, "Join "],
    ["em", "room"],
    [null, " as "],
    ["code", "name"],
    [null, ", or "],
    ["code", "?token="],
    [null, " so."],
  ]);
});

test("what marks nothing is text", () => {
  for (const text of ["2 * 3 * 4", "a ` alone", "**", "plain", "*", "5*"]) assert.deepEqual(spans(text), [[null, text]]);
  assert.deepEqual(spans(""), []);
});
