/** What a caller did wrong, as the API says it. */

/** A refusal with an HTTP status of 400 to 499; `field` is the input that has to change. */
export class Refusal extends Error {
  override readonly name = "Refusal";
  readonly status: number;
  readonly code: string;
  readonly field: string | undefined;

  constructor(status: number, code: string, message: string, field?: string) {
    super(message);
    this.status = status;
    this.code = code;
    this.field = field;
  }
}

export const notFound = (what: string, field: string): Refusal => new Refusal(404, "not_found", `there is no ${what} with this id`, field);

/** The input is well formed but does not fit what is stored. */
export const conflict = (code: string, message: string, field?: string): Refusal => new Refusal(409, code, message, field);
