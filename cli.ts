#!/usr/bin/env node
/**
 * The `matryoshka` command. Each subcommand lives in its room.
 * @module
 */
import { Command, CommanderError } from 'commander';
import pc from 'picocolors';
import { addConformanceCommand } from './conformance/command.ts';
import { addDoctorCommand } from './gpu/command.ts';
import { addPreflightCommand } from './preflight/command.ts';
import { version } from './reference/version.ts';
import { addSyntheticCommand } from './synthetic/command.ts';
import { addTrainCommand } from './training/command.ts';
import { UsageError } from './training/usage-error.ts';

const program = new Command('matryoshka')
  .description(
    'Reference, conformance suite and experiments for Matryoshka and BatchTopK SAE kernels.',
  )
  .version(version)
  .showHelpAfterError('(matryoshka --help, or matryoshka <command> --help)')
  .addHelpText('after', '\nStart with: matryoshka preflight');

addPreflightCommand(program);
addDoctorCommand(program);
addConformanceCommand(program);
addSyntheticCommand(program);
addTrainCommand(program);

try {
  for (const command of [program, ...program.commands.flatMap((c) => [c, ...c.commands])]) {
    command.exitOverride();
  }
  await program.parseAsync();
} catch (error) {
  process.exitCode = report(error);
}

/** What went wrong, on stderr; returns the exit status: 2 for wrong usage, 1 for anything else. */
function report(error: unknown): number {
  if (error instanceof CommanderError) return error.exitCode === 0 ? 0 : 2; // commander has printed it
  if (error instanceof UsageError) {
    console.error(`${pc.red('error:')} ${error.message}`);
    return 2;
  }
  console.error(error instanceof Error ? (error.stack ?? error.message) : error);
  return 1;
}
