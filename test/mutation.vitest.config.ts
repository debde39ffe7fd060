/**
 * The tests a mutation run judges by: unit tests and laws of reference/, the quick ones first. Left out for time are the
 * replays of recorded runs; and the tests of text, of package and sources, which a mutation run instruments.
 */
import { BaseSequencer, type TestSpecification } from 'vitest/node';
import { defineConfig, type ViteUserConfig } from 'vitest/config';
import base from '../vitest.config.ts';

const slow = /(laws|gradients|gradients-of-dialects|train-step)\.test\.ts$/;

class QuickFirst extends BaseSequencer {
  override async sort(files: TestSpecification[]): Promise<TestSpecification[]> {
    const rank = ({ moduleId }: TestSpecification): number => Number(slow.test(moduleId));
    return files.toSorted((a, b) => rank(a) - rank(b) || a.moduleId.localeCompare(b.moduleId));
  }
}

const config: ViteUserConfig = defineConfig({
  test: {
    ...base.test,
    include: ['test/reference/*.test.ts'],
    exclude: [
      'test/reference/{architectures,bussmann,decisions,dictionary-learning,nabeshima,replay,saelens}.test.ts',
      'test/reference/{purity,version}.test.ts',
    ],
    setupFiles: ['test/setup.ts', 'test/mutation.setup.ts'],
    sequence: { sequencer: QuickFirst },
  },
});

// eslint-disable-next-line no-restricted-syntax -- Vitest takes its configuration from the default export.
export default config;
