/**
 * When two L0s count as equal.
 * @module
 */

/** How far a measured L0 may be from its target, as a share of it. */
export const L0_TOLERANCE = 0.03;
