/**
 * The figures of the reports, as SVG strings: plain data in, no browser, no files, no randomness. Drawn with
 * Observable Plot in linkedom's document. Each works alone as a file and inside a page (page.ts), on light and
 * on dark; `alt` says in words what the figure shows. One file per figure; what they share is plot-frame.ts.
 * @module
 */
export { barsWithCeiling, type AbsorptionBars } from './plot-bars.ts';
export { curves, type Curves, type CurveSeries } from './plot-curves.ts';
export { forest, type Forest } from './plot-forest.ts';
export { heatmap, type Heatmap } from './plot-heatmap.ts';
export { lines, type LinePoint, type Lines } from './plot-lines.ts';
export { scatter, type Scatter, type ScatterPoint } from './plot-scatter.ts';
