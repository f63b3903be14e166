/** What the schema says of a key's shape, for reading values as Pulumi hands them over. */
import { z } from "zod";

/** The type below defaults and optionality. */
function inner(type: z.ZodType): z.ZodType {
  return type instanceof z.ZodOptional || type instanceof z.ZodDefault ? inner(type.unwrap() as z.ZodType) : type;
}

/** Whether a value of this type is JSON (a list or an object), not a plain text. */
export function isStructured(type: z.ZodType): boolean {
  const at = inner(type);
  return at instanceof z.ZodObject || at instanceof z.ZodArray;
}

/** Names of the fields that the object at `path` inside a value of this type can have; none when it is no object. */
export function fieldsAt(type: z.ZodType, path: readonly PropertyKey[]): string[] {
  const at = inner(type);
  const [step, ...rest] = path;
  if (at instanceof z.ZodArray && step !== undefined) return fieldsAt(at.element as z.ZodType, rest);
  if (!(at instanceof z.ZodObject)) return [];
  if (step === undefined) return Object.keys(at.shape);
  const field = (at.shape as Record<PropertyKey, z.ZodType>)[step];
  return field === undefined ? [] : fieldsAt(field, rest);
}

const isNumeric = (text: string) => /^[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?$/i.test(text);

/**
 * The value with texts, numbers and booleans as the type has them. `pulumi config set` guesses: it stores `0.05` as a
 * text, and an organisation's id `42` as a number. What fits no type is left for the schema to refuse.
 */
export function coerced(type: z.ZodType, value: unknown): unknown {
  const at = inner(type);
  if (at instanceof z.ZodArray) return Array.isArray(value) ? value.map((item) => coerced(at.element as z.ZodType, item)) : value;
  if (at instanceof z.ZodObject) return coercedFields(at, value);
  if (at instanceof z.ZodNumber) return typeof value === "string" && isNumeric(value.trim()) ? Number(value) : value;
  if (at instanceof z.ZodBoolean) return value === "true" ? true : value === "false" ? false : value;
  // A number that has lost digits on its way is no text that anybody wrote.
  const isPlain = typeof value === "boolean" || (typeof value === "number" && (!Number.isInteger(value) || Number.isSafeInteger(value)));
  return at.type === "string" && isPlain ? String(value) : value;
}

function coercedFields(type: z.ZodObject, value: unknown): unknown {
  if (typeof value !== "object" || value === null || Array.isArray(value)) return value;
  const shape = type.shape as Record<string, z.ZodType>;
  return Object.fromEntries(Object.entries(value).map(([name, field]) => [name, Object.hasOwn(shape, name) ? coerced(shape[name]!, field) : field]));
}
