/**
 * Where a command prints: through commander, so that a program which embeds it, or a test, decides.
 * @module
 */
import type { Command } from 'commander';

/** Prints a text and a line end on the command's standard output. */
export function printerOf(command: Command): (text: string) => void {
  return (text) => command.configureOutput().writeOut?.(`${text}\n`);
}
