/**
 * matryoshka synthetic describe: what a world is, without sampling it.
 * @module
 */
import type { Command } from 'commander';
import { wholeNumber } from '../training/option-values.ts';
import { describeWorld, descriptionText } from './describe.ts';
import { openWorld, worldPresets } from './worlds/presets.ts';

interface DescribeFlags {
  readonly seed: number;
  readonly json?: true;
}

/** `matryoshka synthetic describe`. */
export function addDescribeCommand(synthetic: Command): void {
  synthetic
    .command('describe')
    .summary('parameters and expected statistics of a world')
    .argument('<world>', `${Object.keys(worldPresets).join(', ')}, or FILE.json`)
    .description('Prints a world’s parameters, what they imply, and its tree.')
    .option('--seed <n>', 'of what the world draws once', wholeNumber('--seed', 0), 42)
    .option('--json', 'as JSON')
    .addHelpText('after', '\nExample: matryoshka synthetic describe mini256')
    .action(async (name: string, { seed, json }: DescribeFlags) => {
      const description = describeWorld(await openWorld(name), seed);
      console.log(json ? JSON.stringify(description) : descriptionText(description));
    });
}
