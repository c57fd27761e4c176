/** The scenarios, in the order in which they run and are printed. */
import { httpSingle } from './scenarios/http-single.ts'
import type { Scenario } from './scenario.ts'

export const scenarios: readonly Scenario[] = [httpSingle]
