"""
Golden vectors of the toy model's MatryoshkaSAE of github.com/noanabeshima/matryoshka-saes: random prefixes, an adaptive
sparsity penalty, latents re-ordered after every step.

Runs `MatryoshkaSAE.step` and records every training step: the state before it, and what the step computed. Nothing here
computes a loss, a gradient or an update: every number in the files was produced by the published code (or by the torch
functions it calls) and read off while it ran.

Two recordings of each run:

  float32   the source, unedited;
  float64   the same source with float64 as torch's default dtype and its float32 casts lifted, by the textual
            replacements listed in CASTS, made in memory as the source is loaded.

How to run: `./make.sh` clones the repository, makes a virtual environment with the pinned requirements and calls this
file, which rewrites the *.safetensors and manifest.json beside it. Inputs, initial weights and prefixes are seeded, so
on one machine two runs write the same bytes; on another processor the last bits of the outputs may differ, because the
order of summation inside a matrix product may.

manifest.json says what each tensor is. The TypeScript tests read only the outputs; they need neither Python nor torch.
"""

import functools
import os
import sys
from pathlib import Path

# With a GPU, GradScaler would scale losses, and skip steps.
os.environ["CUDA_VISIBLE_DEVICES"] = ""

from operators import record_operators
from published import lift_casts, load_modules, read_pinned
from training_runs import FLAGS, RUNS, record_run
from vector_files import make_vectors

HERE = Path(__file__).resolve().parent

REPOSITORY = "github.com/noanabeshima/matryoshka-saes"

# The file that is loaded, with its SHA-256 at the commit.
SOURCES = {"sae.py": "12116dc661491de9d5ae0a239d6eeb4eff20855b68bd28730d0ca194ad7ba0b6"}

# The float32 casts of the published source: (file, line, before, after). `before` must occur exactly once in the file,
# at that line.
CASTS = [
    # The mean number of positive latents, which the controller compares with its target.
    ("sae.py", 277, "(block_acts > 0).float()", "(block_acts > 0).double()"),
]

# T steps, all recorded, and T+1 states: before each step and after the last. N rows per batch, d = d_in, F = d_sae,
# P prefixes. `*` is each parameter.
RUN_TENSORS = {
    "x": "[T, N, d] the batch; float32 values in both dtypes",
    "loss": "[T] l2 + sparsity_scale * sparsity,",
    "prefixes": "[T, P] the prefixes drawn in step t; the last is F",
    "permutation": "[T, F]: after the update, latent j is what was latent permutation[j]; only if "
    "permute_latents",
    "*": "[T+1, ...] parameters before step t; entry T is after the last. W_enc [d, F], b_enc [F], W_dec [F, d], "
    "b_dec [d]",
    "m.*": "[T+1, ...] Adam's first moment, never re-ordered; update t is Adam's step number t + 1",
    "v.*": "[T+1, ...] Adam's second moment, never re-ordered",
    "running_avg": "[T+1, 1] the normaliser's average of mean norms; 0 at the start",
    "sq_act_running_avg": "[T+1, F] average of each latent's mean square, never re-ordered; only if permute_latents",
    "controller_scale": "[T+1] the controller's scale (float64 in both dtypes: it is a Python number)",
    "controller_step": "[T+1] steps the controller has made",
    "normalised": "[T, N, d] x * sqrt(d) / running_avg, after its update",
    "latents": "[T, N, F] acts after ReLU",
    "x_hat": "[T, P, N, d] reconstruction of `normalised` from each prefix",
    "level_losses": "[T, P] squared error of each prefix, summed over d and averaged over rows",
    "level_sparsity": "[T, P] penalty of each prefix",
    "l2": "[T] mean of level_losses",
    "sparsity": "[T] mean of level_sparsity, before sparsity_scale",
    "l0": "[T] mean number of positive latents per row",
    "sparsity_scale": "[T] the controller's scale times min(controller_step / W, 1), both after its step",
    "grad.*": "[T, ...] gradients right after backward",
    "grad_norm": "[T] norm of all gradients, before clipping",
    "clipped.*": "[T, ...] gradients that Adam receives",
    "lr": "[T] learning rate of the update (float64 in both dtypes: it is a Python number)",
}

OPERATOR_TENSORS = {
    "prefixes.ID.probability": "[F] probability of each length in the first draw",
    "prefixes.ID.samples": "[draws, P] prefixes of successive calls",
    "learning_rates.ID": "[n_steps + 10] multiplier of update 0, 1, ... (float64 in both dtypes)",
    "controller.ID.l0": "[T] mean number of positive latents of successive steps",
    "controller.ID.scale": "[T + 1] the controller's scale before each step (float64 in both dtypes)",
    "controller.ID.sparsity_scale": "[T] what each step returns (float64 in both dtypes)",
    "normaliser.x": "[T, N, d] successive batches",
    "normaliser.running_avg": "[T + 1] before each batch; 0 at the start, without bias correction",
    "normaliser.normalised": "[T, N, d]",
    "normaliser.restored": "[T, N, d] unnormalize(normalised)",
    "get_acts.*": "parameters of a small SAE",
    "get_acts.running_avg": "[1]",
    "get_acts.x": "[N, d]",
    "get_acts.acts": "[N, F] get_acts(x): times decoder norms, in the units of x",
    "get_acts.acts_not_normalised": "[N, F] normalize=False: x as it is, and acts scaled back all the same",
    "initialise.draw.I": "[d, F] what randn drew in the constructor",
    "initialise.*": "parameters that the constructor ended with",
    "step.*": "parameters of a small SAE; one decoder row is 0. `changed` in the config replaces some",
    "step.x": "[N, d]",
    "step.running_avg": "[1] before the step",
    "step.ID.prefixes": "[P]",
    "step.ID.level_losses": "[P]",
    "step.ID.level_sparsity": "[P]",
    "step.ID.sparsity_scale": "[]",
    "step.ID.loss": "[]",
    "step.ID.grad.*": "gradients right after backward: finite, the norm's gradient at 0 is 0",
}


def load_published(repository, commit, lift):
    (name, digest), *_ = SOURCES.items()
    text = read_pinned(repository, commit, name, digest, REPOSITORY)
    return load_modules({"sae": lift_casts(CASTS, name, text) if lift else text})["sae"]


def main():
    repository, commit = sys.argv[1:]
    load = functools.partial(load_published, repository, commit)
    name = f"{REPOSITORY} {commit}"
    source = {"repository": REPOSITORY, "commit": commit, "files": SOURCES}
    runs = [(run, record_run) for run in RUNS]
    tensors = {"run": RUN_TENSORS, "operators": OPERATOR_TENSORS}
    make_vectors(HERE, name, source, CASTS, FLAGS, tensors, load, runs, record_operators)


if __name__ == "__main__":
    main()
