/**
 * The main job: is this machine, with this backend, ready for a full-scale run? Diagnosis, conformance of the backend's
 * kernels, the tree experiment, and a short training run on real activations, each with a verdict of its own.
 * @module
 */
import { computed } from '../conformance/open-kernels.ts';
import { certificate, type Certificate } from '../conformance/records/certificate.ts';
import { specs } from '../conformance/kernels/all.ts';
import { runLaws, type LawResult } from '../conformance/run.ts';
import type { ComputeName } from '../gpu/choose.ts';
import { diagnose, type Diagnosis } from '../gpu/doctor.ts';
import { version } from '../reference/version.ts';
import type { ExperimentResults } from '../synthetic/experiments/results.ts';
import { runSample, type SampleProgress, type SampleResults } from '../training/sample-run.ts';
import { absorptionSettings, runAbsorption, type AbsorptionProgress } from './absorption.ts';
import {
  judgeAbsorption,
  judgeConformance,
  judgeDoctor,
  judgeSample,
  type Check,
} from './verdict.ts';

/** Cases per law: half of what `matryoshka conformance` runs, since this is one check of four. */
const CASES = 100;

/** What a run found, as plain JSON. */
export interface PreflightRecord {
  readonly version: string;
  readonly seed: number;
  /** ISO 8601. */
  readonly started: string;
  readonly seconds: number;
  /** GO if every check is. */
  readonly verdict: 'GO' | 'NO-GO';
  readonly checks: readonly Check[];
  readonly doctor: Diagnosis;
  readonly conformance: Certificate;
  readonly tree: ExperimentResults;
  readonly sample: SampleResults;
}

export interface PreflightOptions {
  readonly backend: ComputeName | 'auto';
  readonly seed: number;
  /** Training seeds of the tree experiment. */
  readonly seeds: number;
  readonly threads?: number;
  readonly signal: AbortSignal;
  readonly on: PreflightListener;
}

/** Told of everything as it happens. */
export interface PreflightListener {
  readonly stage: (name: string) => void;
  readonly backend: (line: string) => void;
  /** `laws` is how many there are in all. */
  readonly law: (result: LawResult, laws: number) => void;
  readonly tree: (progress: AbsorptionProgress) => void;
  readonly sample: (progress: SampleProgress) => void;
  readonly check: (check: Check) => void;
}

/**
 * @throws What opening the backend throws; the signal's reason if aborted; {@link UsageError} for seeds out of range.
 */
export async function runPreflight(options: PreflightOptions): Promise<PreflightRecord> {
  const { on, seed, signal } = options;
  const settings = absorptionSettings(options);
  const started = new Date();
  const checks: Check[] = [];
  const stage = async <T>(
    name: string,
    run: () => Promise<T>,
    judge: (result: T) => Pick<Check, 'verdict' | 'reason'>,
  ): Promise<T> => {
    signal.throwIfAborted();
    on.stage(name);
    const from = performance.now();
    const result = await run();
    const check = { name, ...judge(result), seconds: (performance.now() - from) / 1000 };
    checks.push(check);
    on.check(check);
    return result;
  };

  const doctor = await stage('doctor', diagnose, (diagnosis) =>
    judgeDoctor(diagnosis, options.backend),
  );
  const conformance = await stage('conformance', () => certifyBackend(options), judgeConformance);
  const tree = await stage(
    'absorption',
    () =>
      runAbsorption(settings, {
        signal,
        ...(options.threads !== undefined && { threads: options.threads }),
        onProgress: on.tree,
      }),
    judgeAbsorption,
  );
  const sample = await stage(
    'training',
    () => runSample({ backend: options.backend, seed, signal, onProgress: on.sample }),
    judgeSample,
  );
  return {
    version,
    seed,
    started: started.toISOString(),
    seconds: (Date.now() - started.getTime()) / 1000,
    verdict: checks.every(({ verdict }) => verdict === 'GO') ? 'GO' : 'NO-GO',
    checks,
    doctor,
    conformance,
    tree,
    sample,
  };
}

async function certifyBackend({
  backend,
  seed,
  signal,
  on,
}: PreflightOptions): Promise<Certificate> {
  const { kernels, device, notes, close } = await computed(backend);
  on.backend(`${kernels.name}: ${device}`);
  for (const note of notes) on.backend(note);
  const laws = specs.reduce((sum, spec) => sum + spec.laws.length, 0);
  const results = await runLaws(specs, kernels, { runs: CASES, seed }, (result) => {
    on.law(result, laws);
    signal.throwIfAborted();
  }).finally(close);
  return certificate(results, kernels, specs, { device, seed, runs: CASES });
}
