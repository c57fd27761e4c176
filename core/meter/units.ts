/**
 * Budgets are counted in whole thousandths of a CU. Whole numbers add and subtract without drift (a thousand
 * draws of 0.1 and their refunds come back to exactly 0), and every store can count them. A double holds them
 * exactly up to 9·10¹² CU. What a cost has beyond the thousandth is rounded.
 */
const UNITS_PER_CU = 1000

/** CU as units. Infinity and NaN stay what they are. */
export function toUnits(cu: number): number {
  return Math.round(cu * UNITS_PER_CU)
}

/** Units as CU. */
export function toCu(units: number): number {
  return units / UNITS_PER_CU
}
