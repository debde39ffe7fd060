/**
 * matryoshka synthetic: experiments on worlds whose features are known.
 * @module
 */
import type { Command } from 'commander';
import { addClaimsCommand } from './claims-command.ts';
import { addDescribeCommand } from './describe-command.ts';
import { addMergeCommand } from './merge-command.ts';
import { addRunCommand } from './run-command.ts';

/** `matryoshka synthetic`, with one subcommand per experiment. */
export function addSyntheticCommand(program: Command): void {
  const synthetic = program
    .command('synthetic')
    .summary('experiments on worlds whose features are known')
    .description(
      'Experiments on synthetic worlds: every feature is known, so recovery can be measured.',
    );
  addClaimsCommand(synthetic);
  addRunCommand(synthetic);
  addMergeCommand(synthetic);
  addDescribeCommand(synthetic);
}
