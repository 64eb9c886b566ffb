// Writes the models for other languages: types in TypeScript, Swift and Kotlin for whatever a client of the gateway
// sends or hears. They follow from the files of `schemas` and from nothing else.
//
//     npm run models            writes schemas/models
//     npm run models -- FOLDER  writes them there, for the test that compares
//
// quicktype makes the types. Ours are their names, so that each method and event has types called after it, and the
// table that says in TypeScript what belongs to which name.

import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { FetchingJSONSchemaStore, InputData, JSONSchemaInput, quicktype } from "quicktype-core";

const SCHEMAS = fileURLToPath(new URL("../../schemas/", import.meta.url));
const FOLDER = process.argv[2] ?? join(SCHEMAS, "models");
const HEAD = "// Made from clawhost's JSON Schemas by `npm run models` in tests/foreign; changes here are lost.";

/** What the protocol itself is made of, beside methods and events: the type of each file. */
const WIRE = {
  "connect": "ConnectParams",
  "hello-ok": "HelloOk",
  "error-shape": "ErrorShape",
  "presence-entry": "PresenceEntry",
};

/** Words that one of the languages uses for something of its own. */
const RESERVED = new Set(["Any", "Array", "Data", "Error", "List", "Map", "Result", "Sequence", "Set", "Type", "Unit"]);

/** What becomes of a schema that says nothing about its value, and of one that allows no field: no type of its own. */
const ANY = Symbol("any");
const NONE = Symbol("no fields");

const LANGUAGES = {
  "clawhost.ts": {
    lang: "typescript",
    rendererOptions: { "just-types": true, "prefer-unions": true, "prefer-unknown": true },
    alias: (type, { same, list, maybe }) => `export type ${type} = ${same ?? (list ? `${list}[]` : `${maybe} | null`)};`,
    more: table,
  },
  // The types stand among those of whoever uses them, and of Swift's own libraries, so they have a prefix.
  "Clawhost.swift": {
    lang: "swift",
    rendererOptions: { "initializers": false, "acronym-style": "camel", "type-prefix": "Gateway" },
    alias: (type, { same, list, maybe }) =>
      `typealias Gateway${type} = ${list ? `[Gateway${list}]` : `Gateway${same ?? `${maybe}?`}`}`,
  },
  "Clawhost.kt": {
    lang: "kotlin",
    rendererOptions: { "framework": "kotlinx", "package": "clawhost.models", "acronym-style": "camel" },
    alias: (type, { same, list, maybe }) => `typealias ${type} = ${same ?? (list ? `List<${list}>` : `${maybe}?`)}`,
  },
};

const read = (name) => JSON.parse(readFileSync(join(SCHEMAS, name), "utf8"));
const compare = (a, b) => (a < b ? -1 : a > b ? 1 : 0);
const words = (name) => name.split(/[^A-Za-z0-9]+/).filter(Boolean);
const pascal = (name) => words(name).map((word) => word[0].toUpperCase() + word.slice(1)).join("");
const isObject = (value) => value !== null && typeof value === "object" && !Array.isArray(value);
const mapped = (object, change) =>
  Object.fromEntries(Object.entries(object).map(([key, value]) => [key, change(value, key)]));
const target = (reference) => reference.replace("#/$defs/", "");

/** Methods and events that sockets see, and all types that are wanted, each with the file of its schema. */
function wanted() {
  const features = read("features.json");
  const names = (rows) => rows.filter(({ role }) => role !== "internal").map(({ name }) => name);
  const methods = names(features.methods).map((name) => {
    return { name, params: `${pascal(name)}Params`, result: `${pascal(name)}Result` };
  });
  const events = names(features.events).map((name) => ({ name, payload: `${pascal(name)}Event` }));
  const types = new Map();
  const put = (type, file) => {
    if (types.has(type)) throw new Error(`${file} and ${types.get(type)} would both be called ${type}`);
    types.set(type, file);
  };
  for (const [file, type] of Object.entries(WIRE)) put(type, file);
  for (const { name, params, result } of methods) {
    put(params, `${name}.params`);
    put(result, `${name}.result`);
  }
  for (const { name, payload } of events) put(payload, `${name}.payload`);
  return { types, methods, events };
}

/** One schema with a definition for each type, and what became of those that need none. */
function gathered(types) {
  const files = [...types].sort(([a], [b]) => compare(a, b)).map(([type, file]) => {
    const { $schema: _, title: __, $defs = {}, ...own } = read(`json/${file}.json`);
    return { type, own, $defs };
  });
  const called = names(files, types);
  const definitions = {};
  const plain = new Map();
  for (const { type, own, $defs } of files) {
    const name = (reference) => called(type, target(reference));
    // What is only a list is written out where it is used.
    const instead = (reference) => {
      const part = $defs[target(reference)];
      return part.type === "array" ? renamed(part, instead) : { $ref: `#/$defs/${name(reference)}` };
    };
    const kind = plainness(own);
    if (kind) {
      plain.set(type, kind);
      if (kind === ANY || kind === NONE) continue;
      plain.set(type, mapped(kind, name));
    } else {
      definitions[type] = tidy(renamed(own, instead), type);
    }
    for (const [part, schema] of Object.entries($defs).filter(([, { type }]) => type !== "array")) {
      definitions[called(type, part)] = tidy(renamed(schema, instead), called(type, part));
    }
  }
  return { definitions, plain };
}

/** How a part of a schema is called: as itself if it is the same wherever it occurs, else after where it is as well. */
function names(files, types) {
  const shape = (schema, $defs) => JSON.stringify([schema, reached(schema, $defs)]);
  const whole = new Map(files.map(({ type, own, $defs }) => [type, shape(own, $defs)]));
  const shapes = new Map();
  for (const { $defs } of files) {
    for (const [name, part] of Object.entries($defs)) {
      shapes.set(name, (shapes.get(name) ?? new Set()).add(shape(part, $defs)));
    }
  }
  return (type, name) => {
    const isOne = shapes.get(name).size === 1;
    if (isOne && shapes.get(name).has(whole.get(name))) return name;
    const isFree = !types.has(name) && !RESERVED.has(name);
    return isOne && isFree ? name : type.replace(/(Params|Result|Event)$/, "") + name;
  };
}

/** Everything that a part leads to, so that two parts of one name are told apart by what is below them as well. */
function reached(part, $defs, seen = {}) {
  for (const name of references(part)) {
    if (!(name in seen)) {
      seen[name] = $defs[name];
      reached($defs[name], $defs, seen);
    }
  }
  return Object.keys(seen).sort(compare).map((name) => [name, seen[name]]);
}

function references(value) {
  if (Array.isArray(value)) return value.flatMap(references);
  if (!isObject(value)) return [];
  const own = typeof value.$ref === "string" ? [target(value.$ref)] : [];
  return [...own, ...Object.values(value).flatMap(references)];
}

/** The same schema with something else in place of its references. */
function renamed(value, instead) {
  if (Array.isArray(value)) return value.map((item) => renamed(item, instead));
  if (!isObject(value)) return value;
  const { $ref, ...own } = value;
  return { ...($ref === undefined ? {} : instead($ref)), ...mapped(own, (item) => renamed(item, instead)) };
}

/** What a schema is that has no fields of its own: open, closed, or what a name means: as such, as a list, or perhaps. */
function plainness({ description: _, type, properties = {}, additionalProperties, items, anyOf, $ref, ...more }) {
  if (Object.keys(more).length > 0 || Object.keys(properties).length > 0) return null;
  if ($ref) return { same: $ref };
  if (type === "array") return { list: items.$ref };
  if (anyOf) return anyOf.length === 2 && anyOf[1].type === "null" ? { maybe: anyOf[0].$ref } : null;
  if (type === "object" && additionalProperties === false) return NONE;
  return isObject(additionalProperties) ? null : ANY;
}

/**
 * What quicktype shall see of a schema: no bounds that it takes for types, no opening for further fields (readers pass
 * them over anyway), and for what has no name of its own the name of where it is, so that no name depends on others.
 */
function tidy(schema, name) {
  if (!isObject(schema)) return schema;
  const { title: _, default: __, format: ___, minItems: ____, examples = [], ...kept } = schema;
  // What a method looks at by itself, its schema takes as it comes; the examples say what it should be.
  if (examples.length > 0 && examples.every((example) => typeof example === "boolean")) kept.type = "boolean";
  const below = (value, key) => {
    if (key === "properties") return mapped(value, (part, field) => tidy(part, name + pascal(field)));
    if (["anyOf", "oneOf", "allOf"].includes(key)) {
      return value.map((part) => tidy(part, name + (part.enum ? "Word" : "")));
    }
    if (["items", "additionalProperties"].includes(key)) return tidy(value, `${name}Item`);
    return value;
  };
  const isOpen = kept.properties && (kept.additionalProperties ?? true) === true;
  const isChoice = kept.anyOf?.some((part) => !part.$ref && part.type !== "null");
  const sorted = Object.fromEntries(Object.entries(kept).sort(([a], [b]) => compare(a, b)));
  return {
    ...(kept.properties || kept.enum || kept.oneOf || isChoice ? { title: name } : {}),
    ...mapped(sorted, below),
    ...(isOpen ? { additionalProperties: false } : {}),
  };
}

/** Which types belong to which method and event, for what TypeScript makes of it. */
function table({ methods, events, plain }) {
  const word = (type) => ({ [ANY]: "unknown", [NONE]: "Record<string, never>" })[plain.get(type)] ?? type;
  const entry = (name, value) => `    ${JSON.stringify(name)}: ${value};`;
  return [
    "/**\n * What each method takes and gives.\n */\nexport interface Methods {",
    ...methods.map(({ name, params, result }) => entry(name, `{ params: ${word(params)}; result: ${word(result)} }`)),
    "}\n\n/**\n * What comes with each event.\n */\nexport interface Events {",
    ...events.map(({ name, payload }) => entry(name, word(payload))),
    "}\n",
  ].join("\n");
}

async function render({ lang, rendererOptions, alias, more }, { definitions, ...found }) {
  const input = new JSONSchemaInput(new FetchingJSONSchemaStore());
  await input.addSource({ name: "clawhost", schema: JSON.stringify({ $defs: definitions }), uris: ["#/$defs/"] });
  const inputData = new InputData();
  inputData.addInput(input);
  const { lines } = await quicktype({
    inputData, lang, rendererOptions, combineClasses: false, inferMaps: false, inferUuids: false, inferDateTimes: false,
    inferIntegerStrings: false, inferBooleanStrings: false, leadingComments: [],
  });
  // Without the list of how to read each of the types.
  const isUsage = (line) => /^\/\/($| (?!MARK))/.test(line);
  const text = lines.map((line) => line.trimEnd()).filter((line) => !isUsage(line)).join("\n").trim();
  const aliases = [...found.plain].filter(([, kind]) => isObject(kind)).map(([type, kind]) => alias(type, kind));
  return [HEAD, text, ...aliases, ...(more ? [more(found).trim()] : [])].join("\n\n") + "\n";
}

const { types, ...rows } = wanted();
const found = { ...rows, ...gathered(types) };
mkdirSync(FOLDER, { recursive: true });
for (const [name, language] of Object.entries(LANGUAGES)) {
  writeFileSync(join(FOLDER, name), await render(language, found));
}
