"""
Golden vectors of the published Matryoshka BatchTopK training code.

Runs `MatryoshkaBatchTopKTrainer` of the PyPI package dictionary-learning 0.1.0, shortly also its other trainers, and
records every training step: the state before it, and what the step computed. Nothing here computes a loss, a gradient
or an update: every number in the files was produced by the package's own code (or by the torch functions it calls) and
read off while it ran.

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

import architectures
from operators import record_operators
from published import lift_casts, load_modules, read_source
from training_runs import FLAGS, RUNS, record_run
from vector_files import make_vectors

HERE = Path(__file__).resolve().parent

PACKAGE = "dictionary-learning"
VERSION = "0.1.0"

# The files of the package that are loaded, with the SHA-256 they have in the published wheel: a wheel with the same
# version and other contents must not pass unnoticed.
SOURCES = {
    "config.py": "83bbdfa076c98a786bc26b8637d27be7e74a63a8236e662da8be37ccf5139117",
    "dictionary.py": "58002b55795d858202631ff8d18ac32eb76aeed2e2142f508a7e9d636f0a4918",
    "trainers/trainer.py": "fbc55cbb31596bcc14347c5763d0e6f0c6f88a04fc9af2471bd3ce5439623de9",
    "trainers/matryoshka_batch_top_k.py": "25af35e66be4a0f217b02f8b95d574574fb361d8eec7dd63d45d862c82658d35",
    "trainers/jumprelu.py": "588fd04f89dbe461edebf49808fa66eb5557193a9aa5e6e1004ee2cfbcbb760d",
    "trainers/standard.py": "74ac7a1eb8ccb13088029fa74914d0ab351efb6a5b9b8884ad9a70cdae931401",
    "trainers/top_k.py": "bef1ecb91f3c03b14c2b6c7f0682f53af8a1afab0f7c1cec4a5d615df22d426f",
}

# The float32 casts of the published source: (file, line, before, after). `before` must occur exactly once in the file,
# at that line. Left as they are: `apply_temperature`, which nothing here calls (matryoshka_batch_top_k.py, line 29),
# and masks that are only multiplied, which hold 0 and 1 (jumprelu.py, lines 22, 36, 42).
TRAINER = "trainers/trainer.py"
MATRYOSHKA = "trainers/matryoshka_batch_top_k.py"
JUMPRELU, TOP_K = "trainers/jumprelu.py", "trainers/top_k.py"
CASTS = [
    # Not a cast, but a constant that follows the dtype: in float64 it would become 2^-52. The rule of the published
    # code, which trains in float32, is 2^-23.
    (TRAINER, 78, "eps = torch.finfo(W_dec_DF.dtype).eps", "eps = 2.0**-23"),
    (MATRYOSHKA, 48, "t.tensor(-1.0, dtype=t.float32)", "t.tensor(-1.0, dtype=t.float64)"),
    (MATRYOSHKA, 232, "(residual_BD.float() - x_reconstruct_aux.float())", "(residual_BD - x_reconstruct_aux)"),
    (MATRYOSHKA, 239, "(residual_BD.float() - residual_mu.float())", "(residual_BD - residual_mu)"),
    (MATRYOSHKA, 255, "active.min().detach().to(dtype=t.float32)", "active.min().detach().to(dtype=t.float64)"),
    # The step function, whose mean is l0.
    (JUMPRELU, 55, "return (x > threshold).float()", "return (x > threshold).double()"),
    (TOP_K, 70, "t.tensor(-1.0, dtype=t.float32)", "t.tensor(-1.0, dtype=t.float64)"),
    (TOP_K, 237, "(residual_BD.float() - x_reconstruct_aux.float())", "(residual_BD - x_reconstruct_aux)"),
    (TOP_K, 244, "(residual_BD.float() - residual_mu.float())", "(residual_BD - residual_mu)"),
    (TOP_K, 257, "active.min(dim=1).values.to(dtype=t.float32)", "active.min(dim=1).values.to(dtype=t.float64)"),
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

# Of the other architectures' runs, whose kind is "architecture-run"; each has some of them.
ARCHITECTURE_TENSORS = {
    "x": "[T, N, d] the batch of step t; float32 values in both dtypes",
    "*": "[T+1, ...] parameters before step t; index T is after the last. W_enc [d, F], b_enc [F], W_dec [F, d], "
    "b_dec [d]: nn.Linear's weights transposed. jumprelu also: threshold [F]",
    "m.*": "[T+1, ...] Adam's first moment before step t, oriented like the parameters",
    "v.*": "[T+1, ...] Adam's second moment before step t",
    "tokens_since_fired": "[T+1, F] jumprelu, top-k: before step t",
    "threshold": "[T+1] top-k: before step t; -1 while unset. [T+1, F] jumprelu: a parameter",
    "b_dec_init": "[d] top-k: geometric median of x[0], put into b_dec at the start of step 0",
    "latents": "[T, N, F] acts that are decoded",
    "x_hat": "[T, N, d]",
    "hidden_pre": "[T, N, F] jumprelu: x W_enc + b_enc, which is compared with the threshold",
    "indices": "[T, N, k] top-k: the latents selected in each row, in ascending order, zeros too; they count as fired",
    "positives": "[T] top-k: number of positive acts before selection",
    "l2": "[T] reconstruction part of the loss, summed over d and averaged over rows",
    "l0": "[T] mean number of active latents per row. jumprelu: what the step function gave; else counted",
    "sparsity_scale": "[T] jumprelu, standard-april: the warm-up's factor (float64 in both dtypes: a Python number)",
    "sparsity_loss": "[T] jumprelu, standard-april: the term that is added to l2, coefficient and scale included. "
    "jumprelu: sparsity_penalty * (l0 / target_l0 - 1)^2 * sparsity_scale. standard-april: l1_penalty * sparsity_scale "
    "* mean over rows of the sum of latents times decoder norms",
    "auxk": "[T] top-k: auxiliary loss, normalised, before auxk_alpha",
    "dead": "[T] top-k: number of dead latents in the auxiliary loss",
    "loss": "[T] the two terms together",
    "grad.*": "[T, ...] gradients right after backward",
    "grad_norm": "[T] norm of all gradients before clipping, after the projection if there is one (jumprelu, top-k)",
    "clipped.*": "[T, ...] gradients that Adam receives",
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
    "batch_top_k.ID.acts": "[N, F] acts",
    "batch_top_k.ID.latents": "[N, F] after selection of the k * N largest. Which of equal acts torch.topk chooses is "
    "not specified",
    "step.*": "parameters of a small SAE; `changed` in the config replaces some. W_enc [d, F], b_enc [F], "
    "W_dec [F, d], b_dec [d]",
    "step.ID.x": "[N, d]",
    "step.ID.tokens_since_fired": "[F] before the step",
    "step.ID.tokens_since_fired_after": "[F] after it; dead in it: this is >= dead_feature_threshold",
    "step.ID.latents": "[N, F]",
    "step.ID.x_hat": "[groups, N, d] reconstruction from each of the active groups' prefixes",
    "step.ID.level_losses": "[groups] squared error of each, summed over d and averaged over rows, unweighted",
    "step.ID.l2": "[] sum over g of level_weights[g] * level_losses[g]",
    "step.ID.auxk": "[] auxiliary loss, normalised, before auxk_alpha",
    "step.ID.loss": "[]",
    "step.ID.grad.*": "gradients right after backward",
    "initialise.draw.I": "[F, d] what kaiming_uniform_ drew in the constructor",
    "initialise.*": "parameters and threshold that the constructor ended with",
    "initialise.ID.draw.I": "the same of another architecture: what kaiming_uniform_ or randn drew, as drawn",
    "initialise.ID.*": "its parameters, W_enc [d, F], W_dec [F, d]",
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
    """The trainers' modules. The packages' __init__ files are not run: they import every trainer and nnsight."""
    root = package_root()
    sources = {"dictionary_learning": None, "dictionary_learning.trainers": None}
    for name, digest in SOURCES.items():
        text = read_source(root / name, digest, PACKAGE)
        module = "dictionary_learning." + name.removesuffix(".py").replace("/", ".")
        sources[module] = lift_casts(CASTS, name, text) if lift else text
    modules = load_modules(sources)
    return types.SimpleNamespace(
        dictionary=modules["dictionary_learning.dictionary"],
        trainer=modules["dictionary_learning.trainers.trainer"],
        matryoshka=modules["dictionary_learning.trainers.matryoshka_batch_top_k"],
        jumprelu=modules["dictionary_learning.trainers.jumprelu"],
        standard=modules["dictionary_learning.trainers.standard"],
        top_k=modules["dictionary_learning.trainers.top_k"],
    )


def main():
    load, name = load_published, f"{PACKAGE} {VERSION}"
    source = {"package": PACKAGE, "version": VERSION, "files": SOURCES}
    runs = [(run, record_run) for run in RUNS]
    runs += [(run, architectures.record_run) for run in architectures.RUNS]
    tensors = {"run": RUN_TENSORS, "architecture-run": ARCHITECTURE_TENSORS, "operators": OPERATOR_TENSORS}
    make_vectors(HERE, name, source, CASTS, FLAGS | architectures.FLAGS, tensors, load, runs, record_operators)


if __name__ == "__main__":
    main()
