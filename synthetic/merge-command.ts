/**
 * matryoshka synthetic merge: shards of an experiment as one.
 * @module
 */
import type { Command } from 'commander';
import { requireWritableFolder } from '../training/atomic-file.ts';
import { UsageError } from '../training/usage-error.ts';
import { experimentText, writeExperiment } from './experiment-output.ts';
import { allCells } from './experiments/experiment.ts';
import { cellJobs } from './experiments/settings.ts';
import { openStore, readStores } from './experiments/store.ts';
import { resultsOf } from './experiments/summarise.ts';
import { planFor } from './experiments/claim-settings.ts';
import { claimVerdicts } from './experiments/claims.ts';

interface MergeFlags {
  readonly out: string;
  readonly json?: true;
}

/** `matryoshka synthetic merge`. */
export function addMergeCommand(synthetic: Command): void {
  synthetic
    .command('merge')
    .summary('put shards of an experiment together')
    .argument('<folders...>', 'what --out was for each shard')
    .description('Puts the shards of one experiment together: results, report and pictures.')
    .requiredOption('--out <folder>', 'for all cells, results.json and report.html')
    .option('--json', 'print the results as JSON instead of a table')
    .addHelpText('after', '\nExample: matryoshka synthetic merge runs/a runs/b --out runs/whole')
    .action(async (folders: string[], { out, json }: MergeFlags) => {
      const { settings, cells, times } = await readStores(folders);
      const all = allCells(settings, cells);
      if (all === null) {
        const missing = cellJobs(settings).find(({ key }) => !cells.has(key))!;
        throw new UsageError(
          `merge: ${cellJobs(settings).length - cells.size} cells are in none of the folders, first ${missing.key}`,
        );
      }
      await requireWritableFolder(out, '--out');
      const store = await openStore(out, settings);
      for (const [place, job] of cellJobs(settings).entries()) {
        if (!store.cells.has(job.key)) {
          await store.keep(job, all[place], times.get(job.key));
        }
      }
      const plan = planFor(settings.world.parameters, settings.dialect);
      const results = resultsOf(
        settings,
        all,
        settings.experiment === 'claims' ? (facts) => claimVerdicts(facts, plan) : undefined,
      );
      await writeExperiment(
        results,
        out,
        `matryoshka synthetic merge ${folders.join(' ')} --out ${out}`,
      );
      if (json) console.log(JSON.stringify(results));
      else console.log(experimentText(results, out));
    });
}
