"""
SAELens as one side of speed.ts: its generators and its synthetic runner, timed.

Requests and answers are lines of JSON on standard input and output:

  {"op": "open", "world": NAME}                     the world is built, and a second is spent on each way of sampling it
                                                    -> {"way": the fastest, "rows_per_second": its rate}
  {"op": "sample", "rows": N}                       N rows of x, in batches -> {"seconds": S}
  {"op": "open_runner", "world": NAME, "architecture": NAME, "widths": [N, ...], "steps": N,
   "rows": N}                                       -> {"way": ...}
  {"op": "run", "seed": N}                          SyntheticSAERunner.run, training and final evaluation
                                                    -> {"seconds": S, "metrics": {...}}

Started by speed.ts, by way of python.sh.
"""

import argparse
import json
import logging
import os
import sys
import time
from dataclasses import replace

import torch
from exports import say
from saelens_package import VERSION, load
from saelens_saes import SETTINGS, new_sae
from saelens_worlds import make_world, model_config

BATCH = 1024


def threads_of(count):
    torch.set_num_threads(count)
    return "1 thread" if count == 1 else f"{count} threads"


class Session:
    def __init__(self):
        self.code = load()
        self.counts = sorted({1, os.cpu_count()})

    def open(self, world):
        self.world = make_world(self.code, world, orthogonalised=False)
        rates = {}
        for count in self.counts:
            for sparse in (False, True):
                self.way = (count, sparse)
                start, rows = time.perf_counter(), 0
                while time.perf_counter() - start < 1:
                    self.sample(BATCH)
                    rows += BATCH
                rates[self.way] = rows / (time.perf_counter() - start)
                say(f"  {threads_of(count)}, sparse {sparse}: {rates[self.way]:.0f} rows/s")
        self.way = max(rates, key=rates.get)
        count, sparse = self.way
        name = f"{threads_of(count)}, {'sparse' if sparse else 'dense'} activations"
        return {"way": name, "rows_per_second": rates[self.way], "engine": self.engine()}

    def engine(self):
        return f"sae-lens {VERSION}, torch {torch.__version__}"

    def sample(self, rows):
        count, sparse = self.way
        torch.set_num_threads(count)
        self.world.generator.use_sparse_tensors = sparse
        iterator = self.code.synthetic.training.SyntheticActivationIterator(
            self.world.feature_dict, self.world.generator, BATCH
        )
        start = time.perf_counter()
        for _ in range(-(-rows // BATCH)):
            iterator.next_batch()
        return {"seconds": time.perf_counter() - start}

    def open_runner(self, world, architecture, widths, steps, rows):
        config = model_config(self.code, world, seed=42)
        config.orthogonalization = None
        self.model = self.code.synthetic.synthetic_model.SyntheticModel(config)
        self.settings = replace(SETTINGS[world, architecture], widths=tuple(widths), level_aux=False, steps=steps)
        self.rows = rows
        seconds = {}
        for count in self.counts:
            threads_of(count)
            # A few steps tell the ways apart; the first ones also meet cold caches.
            seconds[count] = min(self.run(seed, steps=min(steps, 30), rows=0)["seconds"] for seed in range(2))
            say(f"  {threads_of(count)}: a few steps in {seconds[count]:.2f} s")
        best = min(seconds, key=seconds.get)
        return {"way": threads_of(best), "engine": self.engine()}

    def run(self, seed, steps=None, rows=None):
        """Of the opened runner's steps, and rows of the evaluation, unless others are said; 0 rows: no evaluation."""
        torch.manual_seed(seed)
        settings, runner = self.settings, self.code.synthetic.synthetic_sae_runner
        sae = new_sae(self.code, self.model.cfg.hidden_dim, settings)
        config = runner.SyntheticSAERunnerConfig(
            synthetic_model=self.model.cfg,
            sae=sae.cfg,
            training_samples=(steps or settings.steps) * settings.batch,
            batch_size=settings.batch,
            lr=settings.learning_rate,
            output_path=None,
            eval_samples=self.rows if rows is None else rows,
            logger=self.code.config.LoggingConfig(log_to_wandb=False),
        )
        start = time.perf_counter()
        result = runner.SyntheticSAERunner(config, self.model, sae).run()
        seconds = time.perf_counter() - start
        return {"seconds": seconds, "metrics": result.final_eval and result.final_eval.to_dict()}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.parse_args()
    logging.disable(logging.WARNING)
    # Standard output belongs to answers: what a library prints goes to the other stream.
    answers = os.fdopen(os.dup(1), "w", buffering=1, encoding="utf-8")
    os.dup2(2, 1)
    session = Session()
    for line in sys.stdin:
        request = json.loads(line)
        operation = request.pop("op")
        try:
            reply = getattr(session, operation)(**request)
        except Exception as error:
            say(f"saelens_speed.py: {operation}: {type(error).__name__}: {error}")
            reply = {"error": f"{type(error).__name__}: {error}"}
        answers.write(json.dumps(reply) + "\n")


if __name__ == "__main__":
    main()
