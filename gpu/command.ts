/**
 * `matryoshka doctor`: a table of backends, with the remedy for each that does not work.
 * @module
 */
import type { Command } from 'commander';
import { colours } from '../training/colours.ts';
import { diagnose, type BackendRecord, type Diagnosis } from './doctor.ts';

/** Exits with 0 if any backend works, else with 1. */
export function addDoctorCommand(program: Command): void {
  program
    .command('doctor')
    .description('which backends work on this machine, and what would make the others work')
    .option('--json', 'print one JSON object instead of a table')
    .action(async (options: { json?: true }) => {
      const diagnosis = await diagnose();
      process.stdout.write(
        options.json === true ? `${JSON.stringify(diagnosis, null, 2)}\n` : doctorTable(diagnosis),
      );
      process.exitCode = diagnosis.auto === null ? 1 : 0;
    });
}

/** For a terminal or a pipe; ends with a line break. */
export function doctorTable(diagnosis: Diagnosis): string {
  const { backends, auto, node, platform, cpu, cores, memoryGiB } = diagnosis;
  const lines = [
    `Node ${node} on ${platform}; ${cpu}, ${cores} cores, ${memoryGiB} GiB`,
    '',
    ...backends.flatMap(backendLines),
    '',
    auto === null
      ? colours.red('No backend works: run npm install.')
      : `\`--backend auto\` takes ${colours.bold(auto)}.`,
  ];
  return `${lines.join('\n')}\n`;
}

function backendLines(record: BackendRecord): string[] {
  const { name, status, device, version, reason, remedy, seconds } = record;
  const paint = { works: colours.green, 'not installed': colours.yellow, broken: colours.red }[
    status
  ];
  const what = device === null ? '' : `${device}; ${version ?? ''}`;
  const head = `${name.padEnd(20)}${paint(status.padEnd(15))}${`${seconds.toFixed(1)} s`.padStart(7)}  ${what}`;
  const notes = [
    ...(reason === null ? [] : [`why:    ${reason}`]),
    ...(remedy === null ? [] : [`remedy: ${remedy}`]),
  ];
  return [head.trimEnd(), ...notes.map((note) => ' '.repeat(20) + note)];
}
