#!/usr/bin/env node
/**
 * The `matryoshka` command. Each subcommand lives in its room.
 * @module
 */
import { Command, CommanderError } from 'commander';
import { errorColours } from './training/colours.ts';
import { version } from './reference/version.ts';
import { UsageError } from './training/usage-error.ts';

/** Each room's command, loaded only when it is asked for: backends and plots take seconds to load. */
const rooms: Readonly<Record<string, () => Promise<(program: Command) => void>>> = {
  preflight: async () => (await import('./preflight/command.ts')).addPreflightCommand,
  doctor: async () => (await import('./gpu/command.ts')).addDoctorCommand,
  setup: async () => (await import('./gpu/setup/command.ts')).addSetupCommand,
  conformance: async () => (await import('./conformance/command.ts')).addConformanceCommand,
  merge: async () => (await import('./conformance/records/command.ts')).addMergeCommand,
  compare: async () => (await import('./conformance/records/command.ts')).addCompareCommand,
  verify: async () => (await import('./conformance/records/command.ts')).addVerifyCommand,
  run: async () => (await import('./conformance/operators/command.ts')).addRunCommand,
  dialects: async () => (await import('./conformance/dialects/command.ts')).addDialectsCommand,
  synthetic: async () => (await import('./synthetic/command.ts')).addSyntheticCommand,
  train: async () => (await import('./training/command.ts')).addTrainCommand,
  encode: async () => (await import('./training/inference/command.ts')).addEncodeCommand,
  decode: async () => (await import('./training/inference/command.ts')).addDecodeCommand,
  plan: async () => (await import('./gpu/plan/command.ts')).addPlanCommand,
  bench: async () => (await import('./gpu/bench/command.ts')).addBenchCommand,
};

const program = new Command('matryoshka')
  .description(
    'Reference, conformance suite and experiments for Matryoshka and BatchTopK SAE kernels.',
  )
  .version(version)
  .showHelpAfterError('(matryoshka --help, or matryoshka <command> --help)')
  .addHelpText('after', '\nStart with: matryoshka preflight');

// `| head` closes the pipe when it has seen enough.
process.stdout.on('error', (error: NodeJS.ErrnoException) => {
  if (error.code !== 'EPIPE') throw error;
  process.exit(process.exitCode);
});

try {
  const asked = process.argv[2] ?? '';
  const load = Object.hasOwn(rooms, asked) ? [rooms[asked]] : Object.values(rooms);
  for (const room of load) (await room())(program);
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
    console.error(`${errorColours.red('error:')} ${error.message}`);
    return 2;
  }
  console.error(error instanceof Error ? (error.stack ?? error.message) : error);
  return 1;
}
