/**
 * Colours and symbols of the figures: one pair of colours per architecture, one diverging scale, each for a light
 * and for a dark page.
 * @module
 */

/** Colour of a mark on a light and on a dark page, and its shape. */
export interface ArchitectureStyle {
  readonly light: string;
  readonly dark: string;
  /** Those that have an inside, so that one fill shows them all. */
  readonly symbol:
    'circle' | 'diamond' | 'square' | 'triangle' | 'star' | 'wye' | 'cross' | 'hexagon';
}

/** Told apart by all readers on white and on near-black: lightness and symbol differ with the hue. */
export const ARCHITECTURE_STYLES: readonly ArchitectureStyle[] = [
  { light: '#1f66b0', dark: '#74b4f5', symbol: 'circle' },
  { light: '#b8480a', dark: '#f9a260', symbol: 'diamond' },
  { light: '#2a7a4b', dark: '#74c998', symbol: 'square' },
  { light: '#86409a', dark: '#d79be6', symbol: 'triangle' },
  { light: '#6b6257', dark: '#bdb4a8', symbol: 'star' },
  { light: '#ae2f5f', dark: '#f590b5', symbol: 'wye' },
  { light: '#00717f', dark: '#5fcfdc', symbol: 'cross' },
  { light: '#736400', dark: '#d6c64e', symbol: 'hexagon' },
];

/**
 * Names in the order asked for, else of first appearance; the order decides the colour.
 * @throws {@link RangeError} if there are more names than colours or a name is missing from `order`.
 */
export function architectureStyles(
  where: string,
  names: Iterable<string>,
  order: readonly string[] = [],
): Map<string, ArchitectureStyle> {
  const found = new Set(names);
  const listed = new Set(order.length > 0 ? order : found);
  for (const name of found) {
    if (!listed.has(name)) {
      throw new RangeError(
        `${where}: expected architecture in ${[...listed].join(', ')}, got ${name}`,
      );
    }
  }
  if (listed.size > ARCHITECTURE_STYLES.length) {
    throw new RangeError(
      `${where}: expected at most ${ARCHITECTURE_STYLES.length} architectures, got ${listed.size}`,
    );
  }
  const styles = [...listed].map((name, i) => [name, ARCHITECTURE_STYLES[i]] as const);
  return new Map(styles.filter(([name]) => found.has(name)));
}

/** From -1 over neutral to 1: lightness falls away from the page's own, so "nothing" looks like nothing. */
const DIVERGING = {
  light: [
    '#7a1414',
    '#bd4a33',
    '#e59a7c',
    '#f6d8c9',
    '#efefeb',
    '#cfe1ef',
    '#86b6da',
    '#3a7cb8',
    '#0c3a78',
  ],
  dark: [
    '#ffd0b5',
    '#f5926a',
    '#bf5136',
    '#6f3427',
    '#2c2f36',
    '#2a5079',
    '#3379b4',
    '#6db3ee',
    '#cfe8ff',
  ],
};
const LEVELS = 40;

function level(scheme: 'light' | 'dark', index: number): string {
  const stops = DIVERGING[scheme];
  const at = (index / LEVELS) * (stops.length - 1);
  const low = Math.min(Math.floor(at), stops.length - 2);
  const channel = (c: number): string => {
    const from = parseInt(stops[low].slice(1 + 2 * c, 3 + 2 * c), 16);
    const to = parseInt(stops[low + 1].slice(1 + 2 * c, 3 + 2 * c), 16);
    return Math.round(from + (to - from) * (at - low))
      .toString(16)
      .padStart(2, '0');
  };
  return `#${channel(0)}${channel(1)}${channel(2)}`;
}

/** Colours on white of the 41 steps from the lower to the upper end of a domain. */
export const DIVERGING_LEVELS: readonly string[] = Array.from({ length: LEVELS + 1 }, (_, i) =>
  level('light', i),
);

export const DARK_TWINS: ReadonlyMap<string, string> = new Map([
  ...ARCHITECTURE_STYLES.map(({ light, dark }) => [light, dark] as const),
  ...DIVERGING_LEVELS.map((light, i) => [light, level('dark', i)] as const),
]);

/** What a figure's colour becomes on a dark screen; the colour itself if it has no twin. */
export function darkTwin(colour: string): string {
  return DARK_TWINS.get(colour) ?? colour;
}

/** Colour of `value` on a domain whose middle is neutral; values beyond the domain take its ends. */
export function divergingColour(value: number, [low, high]: readonly [number, number]): string {
  const share = Math.min(1, Math.max(0, (value - low) / (high - low)));
  return DIVERGING_LEVELS[Math.round(share * LEVELS)];
}
