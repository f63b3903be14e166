/** Text from QuickBooks, made fit for a row, a line of the log and an event: PostgreSQL takes no NUL, and events no half characters. */

/** One line without control characters, blanks around it cut off. @param max most UTF-16 units kept */
export const oneLine = (text: string, max: number): string => text.slice(0, max).replace(/\p{Cc}+/gu, " ").toWellFormed().trim();
