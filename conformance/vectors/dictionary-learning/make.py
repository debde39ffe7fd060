"""
Golden vectors of the published Matryoshka BatchTopK training code.

Runs `MatryoshkaBatchTopKTrainer` of the PyPI package dictionary-learning 0.1.0 and records every training step: the
state before it, and what the step computed. Nothing here computes a loss, a gradient or an update: every number in the
files was produced by the package's own code (or by the torch functions it calls) and read off while it ran.

Two recordings of each run:

  float32   the package's source, unedited;
  float64   the same source with float64 as torch's default dtype and its float32 casts lifted, by the textual
            replacements listed in CASTS, made in memory as the source is loaded. The installed package is not changed.

How to run: `./make.sh` makes a virtual environment with the pinned requirements and calls this file, which rewrites the
*.safetensors and manifest.json beside it. Inputs and initial weights are seeded, so on one machine two runs write the
same bytes; on another processor the last bits of the outputs may differ, because the order of summation inside a
matrix product may.

manifest.json says what each tensor is. The TypeScript tests read only the outputs; they need neither Python nor torch.
"""

import importlib.metadata
import importlib.util
import sys
import types
from pathlib import Path

import torch
from operators import record_operators
from published import Dialect, lift_casts, load_modules, read_source
from training_runs import FLAGS, RUNS, record_run
from vector_files import write_manifest, write_vector

HERE = Path(__file__).resolve().parent

PACKAGE = "dictionary-learning"
VERSION = "0.1.0"

# The files of the package that are loaded, with the SHA-256 they have in the published wheel: a wheel with the same
# version and other contents must not pass unnoticed.
SOURCES = {
    "dictionary.py": "58002b55795d858202631ff8d18ac32eb76aeed2e2142f508a7e9d636f0a4918",
    "trainers/trainer.py": "fbc55cbb31596bcc14347c5763d0e6f0c6f88a04fc9af2471bd3ce5439623de9",
    "trainers/matryoshka_batch_top_k.py": "25af35e66be4a0f217b02f8b95d574574fb361d8eec7dd63d45d862c82658d35",
}

# The float32 casts of the published source: (file, line, before, after). `before` must occur exactly once in the file,
# at that line. `apply_temperature` (line 29) casts too, but the trainer never calls it.
TRAINER = "trainers/trainer.py"
MATRYOSHKA = "trainers/matryoshka_batch_top_k.py"
CASTS = [
    # Not a cast, but a constant that follows the dtype: in float64 it would become 2^-52. The rule of the published
    # code, which trains in float32, is 2^-23.
    (TRAINER, 78, "eps = torch.finfo(W_dec_DF.dtype).eps", "eps = 2.0**-23"),
    (MATRYOSHKA, 48, "t.tensor(-1.0, dtype=t.float32)", "t.tensor(-1.0, dtype=t.float64)"),
    (MATRYOSHKA, 232, "(residual_BD.float() - x_reconstruct_aux.float())", "(residual_BD - x_reconstruct_aux)"),
    (MATRYOSHKA, 239, "(residual_BD.float() - residual_mu.float())", "(residual_BD - residual_mu)"),
    (MATRYOSHKA, 255, "active.min().detach().to(dtype=t.float32)", "active.min().detach().to(dtype=t.float64)"),
]

# What the tensors of a run are. T steps, N rows per batch, d = d_in, F = d_sae, G groups. `*` is each parameter.
RUN_TENSORS = {
    "x": "[T, N, d] the batch of step t; float32 values in both dtypes",
    "*": "[T+1, ...] parameters before step t; index T is after the last. W_enc [d, F], b_enc [F], W_dec [F, d], "
    "b_dec [d]. Index 0 of b_dec is before its initialisation to b_dec_init",
    "m.*": "[T+1, ...] Adam's first moment before step t; update t is Adam's step number t + 1",
    "v.*": "[T+1, ...] Adam's second moment before step t",
    "threshold": "[T+1] before step t; -1 while unset",
    "tokens_since_fired": "[T+1, F] before step t; dead in step t: entry t+1 is >= dead_feature_threshold",
    "b_dec_init": "[d] geometric median of x[0], put into b_dec at the start of step 0",
    "latents": "[T, N, F] acts after selection, as used in the loss",
    "positives": "[T] number of positive acts before selection",
    "x_hat": "[T, G, N, d] reconstruction from each prefix",
    "level_losses": "[T, G] squared error of each prefix, summed over d and averaged over rows, unweighted",
    "l2": "[T] reconstruction part of the loss: sum over g of level_weights[g] * level_losses[g]",
    "auxk": "[T] auxiliary loss, normalised, before auxk_alpha",
    "loss": "[T] l2 + auxk_alpha * auxk",
    "dead": "[T] number of dead latents in the auxiliary loss",
    "grad.*": "[T, ...] gradients right after backward",
    "grad_norm": "[T] norm of all gradients after the projection and before clipping",
    "clipped.*": "[T, ...] gradients after projection and clipping: what Adam receives",
    "lr": "[T] learning rate of update t (float64 in both dtypes: it is a Python number)",
}

OPERATOR_TENSORS = {
    "geometric_median.ID.points": "[n, d]",
    "geometric_median.ID.median": "[d]; NaN where an iterate meets a row exactly",
    "lr_multipliers.ID": "[steps + 1] multiplier of update 0, 1, ..., steps (float64 in both dtypes)",
    "update_threshold.ID.latents": "[T, N, F] latents of successive batches",
    "update_threshold.ID.threshold": "[T+1] threshold before batch t",
    "decoder_norm.W_dec": "[F, d], with a zero row, a row of length 1e-4 and a row of length 1e4",
    "decoder_norm.grad": "[F, d] gradient",
    "decoder_norm.projected": "[F, d] gradient without its part parallel to each row",
    "decoder_norm.unit": "[F, d] W_dec with rows rescaled to unit norm",
    "encode.*": "parameters of a small SAE whose acts are exact in both dtypes",
    "encode.x": "[N, d]",
    "encode.threshold": "[S] thresholds; some acts equal a threshold exactly",
    "encode.latents": "[S, N, F] encode(x) at each threshold",
    "encode.batch_top_k": "[N, F] encode(x, use_threshold=False), k in the config",
    "encode.batch_top_k_first_group": "[N, F] the same with active_groups = 1: zeroed after the selection",
    "scale_biases.threshold": "[S] threshold before, one case each",
    "scale_biases.b_enc": "[F] before",
    "scale_biases.b_dec": "[d] before",
    "scale_biases.scaled_threshold": "[S] threshold after scale_biases(scale), scale in the config",
    "scale_biases.scaled_b_enc": "[F] after",
    "scale_biases.scaled_b_dec": "[d] after",
}


def package_root():
    """Folder of the installed package, found without importing it: its __init__ would need nnsight and its closure."""
    version = importlib.metadata.version(PACKAGE)
    if version != VERSION:
        sys.exit(f"make.py: expected {PACKAGE} {VERSION}, found {version}")
    spec = importlib.util.find_spec("dictionary_learning")
    return Path(spec.submodule_search_locations[0])


def load_published(lift):
    """The trainer's modules. The packages' __init__ files are not run: they import every trainer and nnsight."""
    root = package_root()
    sources = {"dictionary_learning": None, "dictionary_learning.trainers": None}
    for name, digest in SOURCES.items():
        text = read_source(root / name, digest, PACKAGE)
        module = "dictionary_learning." + name.removesuffix(".py").replace("/", ".")
        sources[module] = lift_casts(CASTS, name, text) if lift else text
    modules = load_modules(sources)
    return types.SimpleNamespace(
        trainer=modules["dictionary_learning.trainers.trainer"],
        matryoshka=modules["dictionary_learning.trainers.matryoshka_batch_top_k"],
    )


def main():
    # One thread: the order of summation, and with it the last bits, must not depend on how many cores there are.
    torch.set_num_threads(1)
    float32, float64 = dialects = [Dialect(dtype, load_published) for dtype in (torch.float32, torch.float64)]
    source = f"{PACKAGE} {VERSION}"
    vectors = []
    for run in RUNS:
        weights = run.initial_weights(float64)
        for dialect in dialects:
            recorded = record_run(run, dialect, weights)
            vectors.append(write_vector(HERE, source, run.id, run.comment, dialect, *recorded))
    comment = "single operators, called one at a time"
    for dialect in dialects:
        vectors.append(write_vector(HERE, source, "operators", comment, dialect, *record_operators(dialect)))
    write_manifest(
        HERE,
        {"package": PACKAGE, "version": VERSION, "files": SOURCES},
        CASTS,
        FLAGS,
        {"run": RUN_TENSORS, "operators": OPERATOR_TENSORS},
        vectors,
    )


if __name__ == "__main__":
    main()
