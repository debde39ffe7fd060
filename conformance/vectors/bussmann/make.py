"""
Golden vectors of the published Matryoshka BatchTopK training code of github.com/bartbussmann/matryoshka_sae.

Runs the training loop that its main.py calls, on GlobalBatchTopKMatryoshkaSAE, and records every training step: the
state before it, and what the step computed. Nothing here computes a loss, a gradient or an update: every number in the
files was produced by the published code (or by the torch functions it calls) and read off while it ran. The loop gets
its batches from here, and stand-ins for what logs, saves or downloads.

Two recordings of each run:

  float32   the source, unedited;
  float64   the same source with float64 as torch's default dtype and its float32 casts lifted, by the textual
            replacements listed in CASTS, made in memory as the source is loaded.

How to run: `./make.sh` clones the repository, makes a virtual environment with the pinned requirements and calls this
file, which rewrites the *.safetensors and manifest.json beside it. Inputs and initial weights are seeded, so on one
machine two runs write the same bytes; on another processor the last bits of the outputs may differ, because the order
of summation inside a matrix product may.

manifest.json says what each tensor is. The TypeScript tests read only the outputs; they need neither Python nor torch.
"""

import functools
import sys
import types
from pathlib import Path

from operators import record_operators
from published import Unused, lift_casts, load_modules, read_pinned
from training_runs import FLAGS, RUNS, record_run
from vector_files import make_vectors

HERE = Path(__file__).resolve().parent

REPOSITORY = "github.com/bartbussmann/matryoshka_sae"

# The files that are loaded, with their SHA-256 at the commit.
SOURCES = {
    "sae.py": "bb7b56d619f49c24121e441bf1f16cf3257b758f4526a3d26dda9f66c2cadb83",
    "training.py": "608e735e386b1af06d94096ef367841a5814091b1ed223afa17ac3749f5ae84f",
    "config.py": "4cc00ddaea7544384e6c67c73002177ba312822d485a9b7e787e3e4497562692",
}

# The float32 casts of the published source: (file, line, before, after). `before` must occur exactly once in the file,
# and begin at that line. Left as they are: the casts of masks, which hold only 0 and 1 (lines 61, 451, 466, 473, 497),
# and those of the classes that are not recorded.
CASTS = [
    ("sae.py", 163, "(self.b_dec - x.float())", "(self.b_dec - x)"),
    ("sae.py", 166, "[l2_losses, (intermediate_reconstruct.float()", "[l2_losses, (intermediate_reconstruct"),
    ("sae.py", 167, "x.float()).pow(2).mean().unsqueeze(0)]", "x).pow(2).mean().unsqueeze(0)]"),
    ("sae.py", 168, "(intermediate_reconstruct.float() - x.float())", "(intermediate_reconstruct - x)"),
    ("sae.py", 174, "all_acts_topk.float().abs()", "all_acts_topk.abs()"),
    ("sae.py", 175, "(all_acts_topk > 0).float()", "(all_acts_topk > 0).double()"),
    (
        "sae.py",
        199,
        "x.float() - x_reconstruct.float()\n        aux_reconstruct",
        "x - x_reconstruct\n        aux_reconstruct",
    ),
    ("sae.py", 218, "(aux_reconstruct.float() - residual.float())", "(aux_reconstruct - residual)"),
]

# T steps, all recorded, and T+1 states: before each step and after the last. N rows per batch, d = d_in, F = d_sae,
# G groups. `*` is each parameter.
RUN_TENSORS = {
    "x": "[T, N, d] the batch; float32 values in both dtypes",
    "loss": "[T] l2 + aux (+ l1_coeff, which is 0, times the mean l1 norm)",
    "*": "[T+1, ...] parameters before step t; entry T is after the last. W_enc [d, F], b_enc [F] (unused, no "
    "gradient), W_dec [F, d], b_dec [d]",
    "m.*": "[T+1, ...] Adam's first moment; none for b_enc. Update t is Adam's step number t + 1",
    "v.*": "[T+1, ...] Adam's second moment; none for b_enc",
    "threshold": "[T+1] moving average; 0 at the start",
    "batches_since_fired": "[T+1, F] num_batches_not_active. Dead in step t: after it, is >= n_batches_to_dead",
    "normalised": "[T, N, d] x as encoded and reconstructed: rows standardised if input_unit_norm, else x",
    "latents": "[T, N, F] acts after selection, as used in the loss",
    "positives": "[T] number of positive acts before selection",
    "x_hat": "[T, G, N, d] reconstruction of `normalised` from each prefix",
    "sae_out": "[T, N, d] the last of x_hat in the units of x",
    "level_losses": "[T, G + 1] squared error of b_dec alone and of each prefix, mean over rows and d",
    "l2": "[T] mean of level_losses",
    "aux": "[T] auxiliary loss, aux_penalty included",
    "aux_latents": "[T, N, F] what the auxiliary loss decodes: of each row, the top_k_aux largest acts of dead latents",
    "dead": "[T] number of dead latents in the auxiliary loss",
    "l0": "[T] mean number of positive latents per row",
    "grad.*": "[T, ...] gradients right after backward",
    "grad_norm": "[T] norm of all gradients, before clipping",
    "clipped.*": "[T, ...] gradients that Adam receives: clipped, then W_dec's without its part parallel to each row",
    "unit.W_dec": "[T, F, d] decoder that Adam updates: W_dec with rows of unit norm",
}

OPERATOR_TENSORS = {
    "batch_top_k.ID.acts": "[N, F] acts",
    "batch_top_k.ID.latents": "[N, F] after selection of the top_k * N largest. Which of equal acts torch.topk chooses "
    "is not specified",
    "update_threshold.ID.latents": "[T, N, F] latents of successive batches",
    "update_threshold.ID.threshold": "[T + 1] threshold before batch t",
    "inactive.latents": "[T, N, F] latents of successive batches; one column holds NaN",
    "inactive.batches_since_fired": "[T + 1, F] before batch t. A NaN column is neither counted nor reset",
    "decoder_norm.W_dec": "[F, d], with a zero row, a row of length 1e-4 and a row of length 1e4",
    "decoder_norm.grad": "[F, d] gradient",
    "decoder_norm.projected": "[F, d] gradient without its part parallel to each row; NaN for the zero row",
    "decoder_norm.unit": "[F, d] W_dec with rows of unit norm; NaN for the zero row",
    "standardise.x": "[N, d], with a constant row",
    "standardise.normalised": "[N, d]",
    "standardise.mean": "[N, 1]",
    "standardise.std": "[N, 1] with d - 1 in the denominator",
    "standardise.restored": "[N, d] normalised * std + mean: not x, which was divided by std + 1e-5",
    "encode.*": "parameters of a small SAE whose acts are exact in both dtypes",
    "encode.x": "[N, d]",
    "encode.threshold": "[S] thresholds; some acts equal a threshold exactly",
    "encode.latents": "[S, N, F] encode(x) in eval mode at each threshold",
    "encode.batch_top_k": "[N, F] encode(x) in training mode, k in the config",
    "encode.batch_top_k_first_group": "[N, F] the same with active_groups = 1: zeroed after the selection",
    "encode.threshold_after": "[2] threshold after each of the two: encode moves it too, before the zeroing",
    "step.*": "parameters of a small SAE; W_enc [d, F], b_enc [F], W_dec [F, d], b_dec [d]",
    "step.x": "[N, d]",
    "step.ID.batches_since_fired": "[F] before the forward pass",
    "step.ID.latents": "[N, F]",
    "step.ID.level_losses": "[groups + 1] mean squared errors, the first of b_dec alone, if present",
    "step.ID.l2": "[]",
    "step.ID.l1": "[] l1_coeff times the mean over rows of the sum of latents",
    "step.ID.aux": "[]",
    "step.ID.loss": "[]",
    "step.ID.grad.*": "gradients; none of b_enc",
    "initialise.draw.I": "[rows, columns] what each kaiming_uniform_ of the constructor drew; W_enc is draw_of_W_enc",
    "initialise.*": "parameters and threshold that the constructor ended with",
    "jumprelu.x": "[N, F]",
    "jumprelu.log_threshold": "[F]",
    "jumprelu.grad_output": "[N, F]",
    "jumprelu.y": "[N, F] x where above exp(log_threshold), else 0",
    "jumprelu.grad_x": "[N, F]",
    "jumprelu.grad_log_threshold": "[N, F] autograd then sums over rows; lacks the factor exp(log_threshold)",
    "jumprelu.step_y": "[N, F] 1 where above the threshold, else 0",
    "jumprelu.step_grad_x": "[N, F]",
    "jumprelu.step_grad_log_threshold": "[N, F]",
}


def stand_ins():
    """The modules that only log, save or download. The published loop writes nothing and asks a model nothing here."""
    tqdm, logs, lens = types.ModuleType("tqdm"), Unused("logs"), types.ModuleType("transformer_lens.utils")
    tqdm.trange = lambda steps: Quiet(steps)
    lens.get_act_name = lambda site, layer: f"{site} of layer {layer}"
    transformer_lens = types.ModuleType("transformer_lens")
    transformer_lens.utils = lens
    return [tqdm, logs, Unused("wandb"), transformer_lens, lens]


class Quiet:
    """A progress bar that shows nothing, a log that keeps nothing, a process that does nothing."""

    def __init__(self, steps=0, **_):
        self.steps = steps

    def __iter__(self):
        return iter(range(self.steps))

    def ignore(self, *args, **kwargs):
        pass

    put = set_postfix = start = join = ignore


def load_published(repository, commit, lift):
    sources = {}
    for name, digest in SOURCES.items():
        text = read_pinned(repository, commit, name, digest, REPOSITORY)
        sources[name.removesuffix(".py")] = lift_casts(CASTS, name, text) if lift else text
    code = types.SimpleNamespace(**load_modules(sources, stand_ins()))
    code.training.mp = types.SimpleNamespace(Queue=Quiet, Process=Quiet)
    code.training.save_checkpoint_mp = lambda sae, config, step: ("", "", "")
    return code


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
