/** Misbehaviour on demand, as a number of requests, so that a test says exactly what fails. */
import { z } from "zod";

export const faultSchema = z.strictObject({
  /** `ok` ends all faults. `invalid_token` is a refusal inside an answer 200, `hang` never answers, `reset` cuts the connection. */
  mode: z.enum(["ok", "500", "429", "hang", "reset", "invalid_token"]),
  /** How many of the next webhook requests get it. */
  count: z.number().int().min(1).max(10_000).default(1),
});

export type Fault = z.infer<typeof faultSchema>;

export class Faults {
  #mode: Fault["mode"] = "ok";
  #left = 0;

  /** Replaces what was set before. */
  set({ mode, count }: Fault): void {
    this.#mode = mode;
    this.#left = mode === "ok" ? 0 : count;
  }

  /** @returns what the present request gets */
  next(): Fault["mode"] {
    if (this.#left === 0) return "ok";
    this.#left -= 1;
    return this.#mode;
  }

  /** @returns what the next request would get, and how many do */
  status(): { mode: Fault["mode"]; count: number } {
    return { mode: this.#left > 0 ? this.#mode : "ok", count: this.#left };
  }
}
