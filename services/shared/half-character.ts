/** Halves of surrogate pairs, which are no characters: JSON can name one by its escape, UTF-8 cannot express it. */

const surrogate = /\\u[dD][89a-fA-F]/;

/** Whether a JSON text has an escape that may be half of a character; hardly any has. */
export const mayHoldHalfCharacter = (json: string): boolean => surrogate.test(json);
