/** Texts of others, cut to what a page has room for. */

/**
 * @param limit in UTF-16 code units, without the ellipsis that a cut text ends with
 * @returns whole characters only: a half, sent so or cut so, would make the whole answer unreadable for strict readers
 */
export const cut = (text: string, limit: number): string => (text.length > limit ? `${text.slice(0, limit).toWellFormed()}…` : text.toWellFormed());
