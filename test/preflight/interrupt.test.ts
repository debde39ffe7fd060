import { spawn } from 'node:child_process';
import { mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, test } from 'vitest';

const root = join(import.meta.dirname, '../..');

test('Ctrl-C ends a preflight with status 130 and leaves nothing half-written', async () => {
  const out = mkdtempSync(join(tmpdir(), 'matryoshka-interrupt-'));
  try {
    const args = ['--import', 'tsx', join(root, 'cli.ts'), 'preflight', '--out', out];
    const child = spawn(process.execPath, args, { cwd: root });
    let printed = '';
    let asked = false;
    child.stdout.on('data', (part: Buffer) => {
      printed += part.toString();
      // The first stage is over, so the long ones have begun.
      if (!asked && printed.includes('conformance')) asked = child.kill('SIGINT');
    });
    const code = await new Promise((resolve) => child.on('close', resolve));
    expect(code).toBe(130);
    expect(printed).toMatch(/interrupted; nothing was written/);
    expect(readdirSync(out)).toEqual([]);
  } finally {
    rmSync(out, { recursive: true, force: true });
  }
});
