/**
 * A Python script of this folder that answers lines of JSON.
 * @module
 */
import { spawn } from 'node:child_process';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';

export interface Peer {
  /** One request at a time. @throws with what the script said went wrong, or that it ended. */
  readonly ask: (request: Readonly<Record<string, unknown>>) => Promise<Record<string, unknown>>;
  readonly close: () => void;
}

/** By way of python.sh, which installs what it needs the first time. What it says on standard error is passed on. */
export function openPeer(script: string): Peer {
  const python = fileURLToPath(new URL('python.sh', import.meta.url));
  const child = spawn('bash', [python, script], { stdio: ['pipe', 'pipe', 'inherit'] });
  const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]();
  return {
    ask: async (request) => {
      child.stdin.write(`${JSON.stringify(request)}\n`);
      const line: IteratorResult<string, undefined> = await lines.next();
      if (line.done === true) throw new Error(`${script}: ended before it answered`);
      const reply = JSON.parse(line.value) as Record<string, unknown>;
      if (typeof reply['error'] === 'string') throw new Error(`${script}: ${reply['error']}`);
      return reply;
    },
    close: () => void child.kill(),
  };
}
