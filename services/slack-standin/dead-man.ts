/**
 * A dead man's switch: somebody outside the monitoring who notices that it fell silent.
 *
 * A beat is missed when half a period passed beyond its time, since beats come a little late; after two missed ones the
 * switch is dead until the next beat.
 */

export type DeadManState = "waiting" | "alive" | "dead";

export interface DeadManStatus {
  /** `waiting`: no beat yet, which is no alarm. */
  readonly state: DeadManState;
  readonly last_beat_at: string | null;
  /** Beats that did not come since the last one. */
  readonly missed: number;
}

const missedForAlarm = 2;

export class DeadMan {
  readonly #periodMs: number;
  readonly #now: () => number;
  readonly #onChange: (state: "alive" | "dead", status: DeadManStatus) => void;
  #lastBeat: number | undefined;
  #reported: DeadManState = "waiting";

  /**
   * @param periodSeconds a beat is expected this often
   * @param onChange told once when the switch dies and once when it lives again
   * @param now milliseconds since the epoch
   */
  constructor(periodSeconds: number, onChange: (state: "alive" | "dead", status: DeadManStatus) => void, now: () => number = Date.now) {
    this.#periodMs = periodSeconds * 1000;
    this.#onChange = onChange;
    this.#now = now;
  }

  beat(): void {
    this.#lastBeat = this.#now();
    const recovered = this.#reported === "dead";
    this.#reported = "alive";
    if (recovered) this.#onChange("alive", this.status());
  }

  /** Looks at the clock; call it every second or so. */
  check(): void {
    const status = this.status();
    if (status.state !== "dead" || this.#reported === "dead") return;
    this.#reported = "dead";
    this.#onChange("dead", status);
  }

  status(): DeadManStatus {
    if (this.#lastBeat === undefined) return { state: "waiting", last_beat_at: null, missed: 0 };
    const overdue = this.#now() - this.#lastBeat - this.#periodMs / 2;
    const missed = Math.max(0, Math.floor(overdue / this.#periodMs));
    return { state: missed >= missedForAlarm ? "dead" : "alive", last_beat_at: new Date(this.#lastBeat).toISOString(), missed };
  }
}
