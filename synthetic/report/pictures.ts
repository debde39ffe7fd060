/**
 * Every picture of an experiment, by section of the page, and as files.
 * @module
 */
import type { ExperimentResults } from '../experiments/results.ts';
import { standalone } from '../plot-frame.ts';
import { paretoPictures, prefixPictures, trainingPictures } from './curve-pictures.ts';
import { matrixPictures } from './matrix-pictures.ts';
import { absorptionPictures, detectorPictures, erasurePictures } from './parent-pictures.ts';
import type { Picture } from './picture.ts';
import { worldPicture } from './world-picture.ts';

/** Empty where the world or the runs have nothing to draw. */
export interface Pictures {
  readonly matrices: readonly Picture[];
  readonly absorption: readonly Picture[];
  readonly erasure: readonly Picture[];
  readonly detectors: readonly Picture[];
  readonly pareto: readonly Picture[];
  readonly prefixes: readonly Picture[];
  readonly training: readonly Picture[];
  readonly world: readonly Picture[];
}

export function picturesOf(results: ExperimentResults): Pictures {
  return {
    matrices: matrixPictures(results),
    absorption: absorptionPictures(results),
    erasure: erasurePictures(results),
    detectors: detectorPictures(results),
    pareto: paretoPictures(results),
    prefixes: prefixPictures(results),
    training: trainingPictures(results),
    world: [worldPicture(results)],
  };
}

/** File name without its ending -> a whole SVG file with a ground of its own. */
export function experimentPictures(results: ExperimentResults): ReadonlyMap<string, string> {
  const all = Object.values(picturesOf(results)).flat() as Picture[];
  const files = new Map<string, string>();
  for (const { name, svg } of all) {
    // Two architectures may differ in characters that no file name holds.
    let free = name;
    for (let n = 2; files.has(free); n++) free = `${name}-${n}`;
    files.set(free, standalone(svg));
  }
  return files;
}
