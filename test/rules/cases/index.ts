/** Every rule case. */
import type { RuleCase } from "./case.ts";
import { eventCases } from "./events.ts";
import { financeCases } from "./finance.ts";
import { restCases } from "./rest.ts";
import { financeValueCases } from "./values-finance.ts";
import { valueCases } from "./values.ts";

export const allCases: readonly RuleCase[] = [...financeCases, ...eventCases, ...restCases, ...valueCases, ...financeValueCases];
