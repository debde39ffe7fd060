"""
Golden vectors of SAELens' Matryoshka BatchTopK training code.

Runs `SAETrainer.fit` of the PyPI package sae-lens 6.54.12 on a `MatryoshkaBatchTopKTrainingSAE`, shortly also on
other architectures, and records every training step: the state before it, and what the step computed. Nothing here
computes a loss, a gradient or an update: every number in the files was produced by the package's own code (or by the
torch functions it calls) and read off while it ran.

Two recordings of each run:

  float32   the package's source, unedited;
  float64   the same source with the SAE's dtype and torch's default dtype float64 and its float32 casts lifted, by the
            textual replacements listed in CASTS, made in memory as the source is loaded. The installed package is not
            changed.

How to run: `./make.sh` makes a virtual environment with the pinned requirements and calls this file, which rewrites the
*.safetensors and manifest.json beside it. Inputs and initial weights are seeded, so on one machine two runs write the
same bytes; on another processor the last bits of the outputs may differ, because the order of summation inside a
matrix product may.

manifest.json says what each tensor is. The TypeScript tests read only the outputs; they need neither Python nor torch.
"""

import dataclasses
import importlib.metadata
import importlib.util
import sys
import types
from pathlib import Path

import architectures
import torch
from operators import record_operators
from published import Unused, lift_casts, load_modules, read_source
from run_recorder import FLAGS, record_run
from training_runs import RUNS
from vector_files import make_vectors

HERE = Path(__file__).resolve().parent

PACKAGE = "sae-lens"
VERSION = "6.54.12"

# The files of the package that are loaded, in this order, with the SHA-256 they have in the published wheel: a wheel
# with the same version and other contents must not pass unnoticed.
SOURCES = {
    "constants.py": "7ee6777e923db70c54a2ce8846ec9c32637509b2609d5383f3b0d72152651947",
    "registry.py": "9e1cbb04f4ae752013a96e25a3d1ff93735aeec7c61e601ff6ffb7c299cb2ffa",
    "util.py": "ca5b92b20f4089dba29b22976f63c47d982c388f9de593e6556baf70ed8e11a5",
    "saes/sae.py": "316f7eb005838953706b10c5537c255f9db3a098257d5e4d7a6c2119682d0924",
    "saes/standard_sae.py": "5253acb069bd0ad23e5882415d7a5c48d07c762cb426b37901322d69601fd9d0",
    "saes/jumprelu_sae.py": "967187a7aef7ed03fa672ce44b25e2852be5c3e2d34b85718c939e576c7e8e93",
    "saes/topk_sae.py": "13ed3e65fff8ac4ce925b2199f4d25a82ce18b79e92749e5cc10b4fe8f2a7e19",
    "saes/batchtopk_sae.py": "30f5d8c5266928295f541a7baa1589b1122d8c9a49f308668f4d3d27516ed251",
    "saes/matryoshka_batchtopk_sae.py": "dc17863b0d89b277145b1b134ad33d6a220ce53973e23e65579c8aed5ba2400d",
    "config.py": "c0b45655d33bcdb0d1d9d277e789b3f2fb25ee309e56c4aa703d36c409a7190b",
    "training/types.py": "3aef8a8836395dbc4ce7fecc6d5ac8b73e62fa2aeb4405bbd01d72fcd6a7e028",
    "training/optim.py": "0ce6947176ac957c4d98ab5587669e3398291161d4e858ea3a5aa25cf4a22a16",
    "training/activation_scaler.py": "b0b9adf145d1c0c6fd61482392b36312315b4a89906e2016ca04589032006015",
    "training/sae_trainer.py": "59f2df75284e341157730475e0b8aa8359b779d46a31ab8cd2e139506fa35748",
}

# The float32 casts of the published source: (file, line, before, after). `before` must occur exactly once in the file,
# at that line. Left as they are: the casts of masks, which hold only 0 and 1 (sae_trainer.py). The threshold of
# BatchTopK is float64 in both dtypes.
JUMPRELU = "saes/jumprelu_sae.py"
CASTS = [
    ("training/activation_scaler.py", 77, "norms.float().sum().item()", "norms.sum().item()"),
    # JumpReLUTrainingSAE keeps its threshold in float32 whatever the dtype.
    (JUMPRELU, 274, "dtype=torch.float32,", "dtype=torch.float64,"),
    (JUMPRELU, 296, "threshold.dtype != torch.float32:", "threshold.dtype != torch.float64:"),
    (JUMPRELU, 297, "threshold.data.float()", "threshold.data.double()"),
]

# T steps, all recorded, and T+1 states: before each step and after the last. N rows per batch, d = d_in, F = d_sae,
# G widths. `*` is each parameter.
RUN_TENSORS = {
    "x": "[T, N, d] the batch; float32 values in both dtypes",
    "loss": "[T] sum of level_losses, + aux",
    "*": "[T+1, ...] parameters before step t; entry T is after the last. W_enc [d, F], b_enc [F], W_dec [F, d], "
    "b_dec [d]",
    "m.*": "[T+1, ...] Adam's first moment; update t is Adam's step number t + 1",
    "v.*": "[T+1, ...] Adam's second moment",
    "threshold": "[T+1] topk_threshold, float64 in both dtypes; 0 at the start. In units of the latents",
    "passes_since_fired": "[T+1, F] n_forward_passes_since_fired. Dead in step t: before it, is > dead_feature_window",
    "sae_in": "[T, N, d] x times scaling_factor",
    "hidden_pre": "[T, N, F] pre-activations, times the norm of each decoder row if rescale_acts_by_decoder_norm",
    "latents": "[T, N, F] the int(k * N) largest of hidden_pre after ReLU",
    "positives": "[T] number of positive hidden_pre",
    "x_hat": "[T, G, N, d] reconstruction of sae_in from each width; the latents are divided by the norms again",
    "level_losses": "[T, G] squared error of each width, summed over d and averaged over rows",
    "aux": "[T] auxiliary loss, aux_loss_coefficient and scale included",
    "aux_levels": "[T, G] its terms before aux_loss_coefficient, 0 for a level without dead latents; only if "
    "use_matryoshka_aux_loss",
    "aux_latents": "[T, N, F] what the auxiliary loss decodes: of each row, the k_aux largest hidden_pre of dead "
    "latents (of each level's, if use_matryoshka_aux_loss), negative ones too",
    "dead": "[T] number of dead latents in the auxiliary loss",
    "grad.*": "[T, ...] gradients right after backward",
    "grad_norm": "[T] norm of all gradients, before clipping",
    "clipped.*": "[T, ...] gradients that Adam receives",
    "lr": "[T] learning rate of the update (float64 in both dtypes: it is a Python number)",
    "folded.*": "parameters and threshold after fit, which folds scaling_factor into them",
    "exported.*": "parameters and thresholds [F] that save_inference_model then writes: decoder norms folded, if "
    "rescale_acts_by_decoder_norm",
    "exported.latents": "[N, F] latents of the last x that a JumpReLUSAE with the exported parameters computes",
    "exported.x_hat": "[N, d] its reconstruction",
}

# Of the other architectures' runs, whose kind is "architecture-run"; each has some of them.
ARCHITECTURE_TENSORS = {
    "x": "[T, N, d] the batch of step t; float32 values in both dtypes",
    "*": "[T+1, ...] parameters before step t; entry T is after the last. W_enc [d, F], b_enc [F], W_dec [F, d], "
    "b_dec [d]; jumprelu also: threshold [F], a negative one is made 0 at the start of the step",
    "m.*": "[T+1, ...] Adam's first moment; update t is Adam's step number t + 1",
    "v.*": "[T+1, ...] Adam's second moment",
    "passes_since_fired": "[T+1, F] n_forward_passes_since_fired. Dead in step t: before it, is > dead_feature_window",
    "hidden_pre": "[T, N, F] pre-activations; top-k: times the norm of each decoder row",
    "latents": "[T, N, F]",
    "x_hat": "[T, N, d]",
    "l2": "[T] squared error, summed over d and averaged over rows",
    "l0": "[T] mean number of positive latents per row: counted, the code does not",
    "coefficient": "[T] what the sparsity loss is multiplied by, warm-up included (float64 in both dtypes: it is a "
    "Python number)",
    "sparsity_loss": "[T] the code's l0_loss or l1_loss, coefficient included",
    "pre_act_loss": "[T] jumprelu-ste: pre_act_loss_coefficient included",
    "aux": "[T] top-k: auxiliary loss, aux_loss_coefficient and scale included",
    "aux_latents": "[T, N, F] top-k: what it decodes, negative values too",
    "dead": "[T] number of dead latents in the forward pass",
    "loss": "[T] l2 and the other losses together",
    "grad.*": "[T, ...] gradients right after backward",
    "grad_norm": "[T] norm of all gradients, before clipping",
    "clipped.*": "[T, ...] gradients that Adam receives",
    "lr": "[T] learning rate of the update (float64 in both dtypes: it is a Python number)",
}

OPERATOR_TENSORS = {
    "batch_top_k.ID.scores": "[..., F] scores, negative ones too",
    "batch_top_k.ID.latents": "[..., F] after BatchTopK. Which of equal scores torch.topk chooses is not specified",
    "top_k.scores": "[N, F] with rows of no positive and of few positive scores",
    "top_k.latents": "[N, F] after TopK: per row, ReLU after the selection",
    "update_threshold.ID.latents": "[T, N, F] latents of successive batches",
    "update_threshold.ID.threshold": "[T + 1] threshold before batch t; float64 in both dtypes",
    "aux_acts.hidden_pre": "[N, F]",
    "aux_acts.dead": "[F] 1 where dead",
    "aux_acts.acts": "[k, N, F] calculate_topk_aux_acts with k_aux = 1, ..., k: negative values are chosen too",
    "step.*": "parameters of a small SAE. W_enc [d, F], b_enc [F], W_dec [F, d], b_dec [d]",
    "step.x": "[N, d]",
    "step.ID.dead": "[F] 1 where dead",
    "step.ID.latents": "[N, F]",
    "step.ID.level_losses": "[G]",
    "step.ID.aux": "[]",
    "step.ID.loss": "[]",
    "step.ID.grad.*": "gradients",
    "initialise.draw.I": "[F, d] what kaiming_uniform_ drew in the constructor",
    "initialise.*": "parameters and scalar threshold that the constructor ended with",
    "encode.*": "parameters and thresholds [F] of a small JumpReLUSAE whose pre-activations are exact in both dtypes; "
    "some equal a threshold exactly",
    "encode.x": "[N, d]",
    "encode.latents": "[N, F] encode(x)",
    "encode.folded.*": "the same after fold_W_dec_norm: parameters and thresholds",
    "encode.folded.latents": "[N, F] encode(x) after it",
    "export.*": "parameters of a small SAE with a zero decoder row, and its scalar threshold",
    "export.ID.*": "what save_inference_model writes: parameters and thresholds [F]",
    "scale.*": "parameters and scalar threshold of a small SAE",
    "scale.ID.*": "the same after fold_activation_norm_scaling_factor(scale), scale in the config",
    "scaling_factor.x": "[T, N, d] batches to estimate the scaling factor from, which is in the config",
    "jumprelu.x": "[N, F] some entries exactly at the threshold or half a bandwidth from it",
    "jumprelu.threshold": "[F]",
    "jumprelu.grad_output": "[N, F]",
    "jumprelu.y": "[N, F] x where above the threshold, else 0",
    "jumprelu.grad_x": "[N, F]",
    "jumprelu.grad_x_ste": "[N, F] with jumprelu_ste_to_input",
    "jumprelu.grad_threshold": "[F] summed over rows",
    "jumprelu.step_y": "[N, F] 1 where above the threshold, else 0",
    "jumprelu.step_grad_x_ste": "[N, F] with jumprelu_ste_to_input; without, it is 0",
    "jumprelu.step_grad_threshold": "[F] summed over rows",
    "learning_rates.ID": "[steps + 3] learning rate of update 0, 1, ... (float64 in both dtypes)",
}


class Quiet:
    """A progress bar that shows nothing."""

    def __init__(self, iterable=(), **_):
        self.iterable = iterable

    def __iter__(self):
        return iter(self.iterable)

    def ignore(self, *args, **kwargs):
        pass

    update = set_description = close = ignore


class HookPoint(torch.nn.Module):
    """Stands in for TransformerLens': the identity, as long as nobody hooks it."""

    def forward(self, x):
        return x


class HookedRootModule(torch.nn.Module):
    """Stands in for TransformerLens': setup() names the hook points, which nothing here asks for."""

    def setup(self):
        pass


def stand_ins():
    """The packages that are imported for language models, data sets, logging and the command line."""
    lens = [types.ModuleType(f"transformer_lens.{name}") for name in ("hook_points", "HookedTransformer")]
    lens[0].HookPoint, lens[1].HookedRootModule = HookPoint, HookedRootModule
    tqdm = types.ModuleType("tqdm.auto")
    tqdm.tqdm = Quiet
    loading = [f"sae_lens.loading.{name}" for name in ("pretrained_sae_loaders", "pretrained_saes_directory")]
    # Called where the configuration of the command line is defined, which is not used here.
    simple_parsing = types.ModuleType("simple_parsing")
    simple_parsing.helpers = types.SimpleNamespace(
        field=lambda default, **_: dataclasses.field(default=default),
        dict_field=lambda default, **_: dataclasses.field(default_factory=lambda: dict(default)),
    )
    return [*lens, tqdm, simple_parsing, *map(Unused, ["wandb", "datasets", "transformers", *loading])]


def load_published(lift):
    version = importlib.metadata.version(PACKAGE)
    if version != VERSION:
        sys.exit(f"make.py: expected {PACKAGE} {VERSION}, found {version}")
    # Found without importing it: its __init__ would need all of the above.
    root = Path(importlib.util.find_spec("sae_lens").submodule_search_locations[0])
    sources = {"sae_lens": f"import logging\nlogger = logging.getLogger('sae_lens')\n__version__ = '{VERSION}'\n"}
    sources |= {f"sae_lens.{package}": None for package in ("loading", "saes", "training")}
    for name, digest in SOURCES.items():
        text = read_source(root / name, digest, PACKAGE)
        module = "sae_lens." + name.removesuffix(".py").replace("/", ".")
        sources[module] = lift_casts(CASTS, name, text) if lift else text
    modules = load_modules(sources, stand_ins())
    code = types.SimpleNamespace(**{name.rpartition(".")[2]: module for name, module in modules.items()})
    # As its __init__ does, for those trained here: a training configuration looks for its inference class.
    code.registry.register_sae_class("jumprelu", code.jumprelu_sae.JumpReLUSAE, code.jumprelu_sae.JumpReLUSAEConfig)
    code.registry.register_sae_class("standard", code.standard_sae.StandardSAE, code.standard_sae.StandardSAEConfig)
    code.registry.register_sae_class("topk", code.topk_sae.TopKSAE, code.topk_sae.TopKSAEConfig)
    return code


def main():
    load, name = load_published, f"{PACKAGE} {VERSION}"
    source = {"package": PACKAGE, "version": VERSION, "files": SOURCES}
    runs = [(run, record_run) for run in RUNS]
    runs += [(run, architectures.record_run) for run in architectures.RUNS]
    tensors = {"run": RUN_TENSORS, "architecture-run": ARCHITECTURE_TENSORS, "operators": OPERATOR_TENSORS}
    make_vectors(HERE, name, source, CASTS, FLAGS | architectures.FLAGS, tensors, load, runs, record_operators)


if __name__ == "__main__":
    main()
