/**
 * Runs a group of tests on every backend that works here. `wasm` and `cpu` have to work everywhere; `tensorflow` and
 * `webgpu` are skipped with the reason where they do not, unless the environment promises them
 * (MATRYOSHKA_REQUIRE_BACKENDS=tensorflow,webgpu).
 * @module
 */
import { beforeAll, describe, test } from 'vitest';
import {
  backendNames,
  BackendUnavailable,
  openBackend,
  type BackendName,
  type NumericProfile,
} from '../../gpu/backend.ts';

const promised = [
  'wasm',
  'cpu',
  ...(process.env['MATRYOSHKA_REQUIRE_BACKENDS'] ?? '').split(',').filter((name) => name !== ''),
];

/** Profile, or the reason why there is none. */
const profiles = new Map<BackendName, NumericProfile | string>();
for (const name of backendNames) {
  try {
    profiles.set(name, (await openBackend(name)).profile);
  } catch (error) {
    if (!(error instanceof BackendUnavailable) || promised.includes(name)) throw error;
    profiles.set(name, error.problem.reason);
  }
}

/** Those that work here, and why the others do not. */
export const workingBackends: readonly BackendName[] = backendNames.filter(
  (name) => typeof profiles.get(name) !== 'string',
);
export const missingBackends: readonly BackendName[] = backendNames.filter(
  (name) => !workingBackends.includes(name),
);

/** @param body - declares tests; the backend is in use when they run. */
export function onEachBackend(what: string, body: (profile: NumericProfile) => void): void {
  for (const [name, profile] of profiles) {
    if (typeof profile === 'string') {
      test.skip(`${what} on ${name}: ${profile}`, () => undefined);
      continue;
    }
    describe(`${what} on ${name}`, () => {
      beforeAll(async () => {
        await openBackend(name);
      });
      body(profile);
    });
  }
}
