/** JSON Schema as far as a form needs it: what is shown as fields, and what is written as JSON instead. */
import type { Json } from '../gateway/types';

export interface Schema {
  type?: string | string[];
  title?: string;
  description?: string;
  properties?: { [name: string]: Schema };
  required?: string[];
  items?: Schema | boolean;
  enum?: Json[];
  const?: Json;
  anyOf?: Schema[];
  oneOf?: Schema[];
  allOf?: Schema[];
  $ref?: string;
  $defs?: { [name: string]: Schema };
  default?: Json;
  minimum?: number;
  maximum?: number;
  minLength?: number;
  maxLength?: number;
  additionalProperties?: Schema | boolean;
}

export type Kind = 'string' | 'number' | 'integer' | 'boolean' | 'choice' | 'object' | 'list' | 'json';

/** A schema behind its references, and without the `null` by which optional things are said to be absent. */
export function resolved(schema: Schema | boolean | undefined, root: Schema, depth = 0): Schema {
  if (typeof schema !== 'object' || depth > 20) return {};
  if (schema.$ref !== undefined) {
    const name = schema.$ref.split('/').at(-1) ?? '';
    const { $ref: _, ...beside } = schema;
    return resolved({ ...root.$defs?.[name], ...beside }, root, depth + 1);
  }
  const choices = schema.anyOf ?? schema.oneOf;
  if (choices) {
    const real = choices.filter((choice) => choice.type !== 'null');
    const { anyOf: _, oneOf: __, ...beside } = schema;
    const only = real[0];
    if (real.length === 1 && only) return resolved({ ...only, ...beside }, root, depth + 1);
    const values = real.map((choice) => resolved(choice, root, depth + 1)).flatMap(named);
    if (values.length > 0 && real.every((choice) => named(resolved(choice, root, depth + 1)).length > 0)) {
      return { ...beside, enum: values };
    }
  }
  if (schema.allOf?.length === 1) {
    const { allOf, ...beside } = schema;
    return resolved({ ...allOf[0], ...beside }, root, depth + 1);
  }
  return schema;
}

/** How a resolved schema is shown. */
export function kindOf(schema: Schema): Kind {
  if (named(schema).length > 0) return 'choice';
  const types = (Array.isArray(schema.type) ? schema.type : [schema.type]).filter((type) => type !== 'null');
  const type = types.length === 1 ? types[0] : undefined;
  switch (type) {
    case 'string':
    case 'number':
    case 'integer':
    case 'boolean':
      return type;
    case 'object':
      return schema.properties && Object.keys(schema.properties).length > 0 ? 'object' : 'json';
    case 'array':
      return 'list';
    default:
      return 'json';
  }
}

/** The values that a schema names one by one, but for `null`. */
export function named(schema: Schema): Json[] {
  const values = schema.const !== undefined ? [schema.const] : (schema.enum ?? []);
  return values.filter((value) => value !== null);
}

/** What a field begins with; `undefined` is absent. */
export function initial(schema: Schema, root: Schema, name = ''): Json | undefined {
  const it = resolved(schema, root);
  // A key of its own for each call is what is nearly always meant.
  if (name === 'idempotencyKey') return crypto.randomUUID();
  switch (kindOf(it)) {
    case 'object': {
      const value: { [name: string]: Json } = {};
      for (const field of it.required ?? []) {
        const first = initial(it.properties?.[field] ?? {}, root, field);
        if (first !== undefined) value[field] = first;
      }
      return value;
    }
    case 'choice':
      return named(it)[0];
    case 'list':
      return [];
    case 'boolean':
      return false;
    case 'string':
      return '';
    case 'json':
      return it.type === 'object' ? {} : undefined;
    default:
      return undefined;
  }
}
