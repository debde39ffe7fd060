/**
 * A command as a user runs it, in this process.
 */
import { Command, CommanderError } from 'commander';

/**
 * Runs a command; returns what it printed, help included.
 * @param add - adds the command to a program.
 * @throws whatever the command throws, commander's errors of usage included.
 */
export async function printed(
  add: (program: Command) => void,
  args: readonly string[],
): Promise<string> {
  let text = '';
  const output = { writeOut: (part: string) => void (text += part), writeErr: () => undefined };
  const program = new Command('matryoshka').exitOverride().configureOutput(output);
  add(program);
  for (const command of program.commands.flatMap((c) => [c, ...c.commands])) command.exitOverride();
  try {
    await program.parseAsync(args, { from: 'user' });
  } catch (error) {
    if (!(error instanceof CommanderError && error.exitCode === 0)) throw error;
  }
  return text;
}
