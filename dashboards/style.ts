/**
 * Colours and texts of states. The colours are of the Okabe-Ito set, which people with the common forms of colour
 * blindness can tell apart; a state also has a text wherever it is not a number.
 */
import { MappingType, type Threshold, type ValueMapping } from "@grafana/grafana-foundation-sdk/dashboard";

export const colours = {
  good: "#009E73",
  notice: "#F0E442",
  degraded: "#E69F00",
  bad: "#D55E00",
  neutral: "#56B4E9",
  second: "#0072B2",
  third: "#CC79A7",
  off: "#8E8E8E",
} as const;

/** Colours from a value upwards, the first one from the lowest. */
export type Steps = Threshold[];

/** Nothing to judge: one colour for every value. */
export const plain: Steps = [{ value: null, color: colours.neutral }];

/** Good from `good` upwards, bad under it. */
export const atLeast = (good: number): Steps => [
  { value: null, color: colours.bad },
  { value: good, color: colours.good },
];

/** Good under `limit`, bad from it upwards; with `notice` a warning colour from there. */
export function atMost(limit: number, notice?: number): Steps {
  const steps: Steps = [{ value: null, color: colours.good }];
  if (notice !== undefined && notice < limit) steps.push({ value: notice, color: colours.degraded });
  return [...steps, { value: limit, color: colours.bad }];
}

/**
 * Four bands of a rate with a target and a floor: good from the target, then two equal bands down to the floor.
 * @param target such as the SLO, 85
 * @param floor such as 75
 */
export function bands(target: number, floor: number): Steps {
  // Grafana needs rising steps, also where somebody sets the floor above the target.
  const low = Math.min(floor, target);
  return [
    { value: null, color: colours.bad },
    { value: low, color: colours.degraded },
    { value: (target + low) / 2, color: colours.notice },
    { value: target, color: colours.good },
  ];
}

/** A text and a colour for exact values. */
export function states(table: Readonly<Record<string, readonly [text: string, colour: string]>>): ValueMapping {
  const options = Object.fromEntries(Object.entries(table).map(([value, [text, color]], index) => [value, { text, color, index }]));
  return { type: MappingType.ValueToText, options };
}

/** A text and a colour for a range; `null` is open, so that infinity can have a text. */
export const range = (from: number | null, to: number | null, text: string, color: string): ValueMapping => ({
  type: MappingType.RangeToText,
  options: { from, to, result: { text, color } },
});

/** 1 and 0 as UP and DOWN. */
export const upDown = states({ "1": ["UP", colours.good], "0": ["DOWN", colours.bad] });

/** A table's cell in the colour of its state: as the background, because yellow text on white cannot be read. */
export const cellColour = { id: "custom.cellOptions", value: { type: "color-background", mode: "basic" } };

/** Hundreds of thousands of hours, or infinity: a projection that never arrives. */
export const never = (text: string): ValueMapping => range(1e9, null, text, colours.good);
