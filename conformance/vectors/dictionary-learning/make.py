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

import contextlib
import hashlib
import importlib.metadata
import importlib.util
import json
import re
import struct
import sys
import types
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from safetensors import safe_open
from torch.overrides import TorchFunctionMode

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

PARAMETERS = ("W_enc", "b_enc", "W_dec", "b_dec")

FLAGS = {
    "none-dead": "no latent is dead: auxk is 0",
    "fewer-dead-than-k_aux": "dead latents, but fewer than k_aux = floor(d_in / 2): all of them are decoded",
    "as-many-dead-as-k_aux": "exactly k_aux dead latents",
    "more-dead-than-k_aux": "each row decodes its own k_aux of the dead latents",
    "dead-latent-with-positive-acts": "auxk has a gradient: some dead latent is positive before selection",
    "more-positive-dead-than-k_aux": "in some row more than k_aux dead latents are positive, so the top k_aux matters",
    "fewer-positive-acts-than-k-batch": "the rest of the selection falls on zeros, which no recorded value shows",
    "no-positive-acts": "nothing is selected: every reconstruction is b_dec",
    "threshold-unset": "up to threshold_start_step: the threshold stays -1",
    "threshold-first-update": "the threshold becomes the smallest positive latent",
    "threshold-average": "the threshold moves by the moving average; without a positive latent it decays towards 0",
    "lr-zero": "update 0 of a warm-up: moments move, weights are only rescaled",
    "clipped": "the gradient norm is at least the clipping norm",
    "not-clipped": "the gradient norm is below the clipping norm: the factor is min(1, 1 / (norm + 1e-6))",
}

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


# ---------------------------------------------------------------------------------------------------------------------
# Loading the published source
# ---------------------------------------------------------------------------------------------------------------------


def package_root():
    """Folder of the installed package, found without importing it: its __init__ would need nnsight and its closure."""
    version = importlib.metadata.version(PACKAGE)
    if version != VERSION:
        sys.exit(f"make.py: expected {PACKAGE} {VERSION}, found {version}")
    spec = importlib.util.find_spec("dictionary_learning")
    return Path(spec.submodule_search_locations[0])


def read_source(root, name):
    data = (root / name).read_bytes()
    digest = hashlib.sha256(data).hexdigest()
    if digest != SOURCES[name]:
        sys.exit(f"make.py: {name} of {PACKAGE}: expected SHA-256 {SOURCES[name]}, found {digest}")
    return data.decode("utf-8")


def lift_casts(name, source):
    for file, line, before, after in CASTS:
        if file != name:
            continue
        found = [i for i, text in enumerate(source.splitlines(), start=1) if before in text]
        if found != [line] or source.count(before) != 1:
            sys.exit(f"make.py: {name}: expected {before!r} once, at line {line}; found at lines {found}")
        source = source.replace(before, after)
    return source


def load_published(alias, lift):
    """
    Loads the trainer's modules under a package name of their own, so that both dtypes can live in one process.

    The two packages' __init__ files are not run: they import every trainer and, through buffer.py, nnsight.
    """
    root = package_root()
    for package in (alias, f"{alias}.trainers"):
        module = types.ModuleType(package)
        module.__path__ = []  # marks it as a package whose modules are only those put in sys.modules below
        sys.modules[package] = module
    for name in SOURCES:
        source = read_source(root, name)
        if lift:
            source = lift_casts(name, source)
        qualified = f"{alias}." + name.removesuffix(".py").replace("/", ".")
        module = types.ModuleType(qualified)
        module.__package__ = qualified.rpartition(".")[0]
        sys.modules[qualified] = module
        exec(compile(source, f"{PACKAGE}/{name}", "exec"), module.__dict__)
    return types.SimpleNamespace(
        trainer=sys.modules[f"{alias}.trainers.trainer"],
        matryoshka=sys.modules[f"{alias}.trainers.matryoshka_batch_top_k"],
    )


class Dialect:
    """The published code in one dtype: its modules, and the default dtype it has to run under."""

    def __init__(self, dtype):
        self.name = str(dtype).removeprefix("torch.")
        self.dtype = dtype
        self.code = load_published(f"dictionary_learning_{self.name}", lift=dtype == torch.float64)

    @contextlib.contextmanager
    def running(self):
        torch.set_default_dtype(self.dtype)
        try:
            yield self.code
        finally:
            torch.set_default_dtype(torch.float32)

    def tensor(self, array):
        return torch.tensor(np.asarray(array), dtype=self.dtype)


# ---------------------------------------------------------------------------------------------------------------------
# Runs: what is trained, on which inputs
# ---------------------------------------------------------------------------------------------------------------------


@dataclass
class Run:
    """
    One training run. `arguments` go to the trainer's constructor as they are.

    The remaining fields choose a start and inputs that lead through every branch of a step within 50 steps:
    dead_feature_threshold   the attribute the constructor sets to 10,000,000 tokens
    b_enc                    initial encoder bias, below zero so that a small input fires nothing
    never_fire               latents with an initial bias of -6, which cannot fire at all
    faint                    latents with small initial encoder columns: often positive, seldom large enough to fire
    amplitude                step -> spread of that batch; moves the gradient norm across the clipping norm
    quiet                    step -> much smaller spread: fewer than k * batch positive acts, or none
    without                  the flags that need not occur
    """

    id: str
    comment: str
    seed: int
    batch: int
    arguments: dict
    dead_feature_threshold: int
    b_enc: float
    never_fire: tuple
    faint: tuple
    amplitude: Callable
    quiet: dict
    without: tuple = ()

    def activations(self):
        """
        x (steps, batch, d_in), float32 values, the same for both dtypes.

        Sums of a few concept directions out of a window that moves with the step, so latents that fired early fall
        silent and others wake up.
        """
        rng = np.random.default_rng(self.seed)
        steps, d_in = self.arguments["steps"], self.arguments["activation_dim"]
        concepts = rng.standard_normal((steps // 3, d_in))
        concepts /= np.linalg.norm(concepts, axis=1, keepdims=True)
        window = 4
        center = 0.3 * rng.standard_normal(d_in)
        x = np.empty((steps, self.batch, d_in))
        for step in range(steps):
            first = round(step / steps * (len(concepts) - window))
            strength = rng.standard_normal((self.batch, window)) * (rng.random((self.batch, window)) < 0.6)
            noise = 0.1 * rng.standard_normal((self.batch, d_in))
            x[step] = center + self.amplitude(step) * (strength @ concepts[first : first + window] + noise)
            if step in self.quiet:
                # Around the first batch, to whose median b_dec is set.
                x[step] = x[0].mean(axis=0) + self.quiet[step] * rng.standard_normal((self.batch, d_in))
        return x.astype(np.float32)

    def initial_weights(self, float64):
        """
        Float32 values, the same for both dtypes: the published initialisation, then the changes described above.

        It is run in float64 and rounded, so that a processor that sums in another order starts from the same values.
        """
        with float64.running():
            ae = self.trainer(float64).ae
        weights = {name: getattr(ae, name).detach().float() for name in PARAMETERS}
        weights["W_enc"][:, list(self.faint)] /= 8
        weights["b_enc"][:] = self.b_enc
        weights["b_enc"][list(self.faint)] /= 8
        weights["b_enc"][list(self.never_fire)] = -6.0
        return weights

    def trainer(self, dialect):
        trainer = dialect.code.matryoshka.MatryoshkaBatchTopKTrainer(
            layer=0, lm_name="none", seed=self.seed, device="cpu", **self.arguments
        )
        trainer.dead_feature_threshold = self.dead_feature_threshold
        return trainer


RUNS = [
    Run(
        id="three-groups",
        comment="d_in 7 (odd, so k_aux = 3), d_sae 12 in groups of 3, 3, 6, default group weights and threshold_beta",
        seed=2,
        batch=8,
        arguments=dict(
            activation_dim=7,
            dict_size=12,
            k=2,
            group_fractions=[0.25, 0.25, 0.5],
            lr=0.01,
            warmup_steps=5,
            decay_start=35,
            threshold_start_step=20,
            steps=50,
        ),
        dead_feature_threshold=16,
        b_enc=-0.2,
        never_fire=(4,),
        faint=(1, 5, 7, 8, 10, 11),
        amplitude=lambda step: 1 + 0.6 * np.sin(step / 4),
        quiet={4: 0.08},
        without=("no-positive-acts",),
    ),
    Run(
        id="four-groups",
        comment="d_in 10, d_sae 32 in groups of 3, 6, 9, 14 (truncated fractions), unequal group weights",
        seed=5,
        batch=16,
        arguments=dict(
            activation_dim=10,
            dict_size=32,
            k=3,
            group_fractions=[0.1, 0.2, 0.3, 0.4],
            group_weights=[0.5, 1.0, 0.25, 2.0],
            lr=0.01,
            auxk_alpha=1 / 8,
            warmup_steps=8,
            decay_start=30,
            threshold_start_step=2,
            threshold_beta=0.9,
            steps=50,
        ),
        dead_feature_threshold=64,
        b_enc=-0.2,
        never_fire=(30,),
        faint=(1, 2, 5, 8, 12, 14, 17, 20, 22, 25, 27, 31),
        amplitude=lambda step: 0.8 + 0.5 * np.sin(step / 4),
        quiet={4: 0.02, 5: 0.1},
    ),
]


# ---------------------------------------------------------------------------------------------------------------------
# Recording a run
# ---------------------------------------------------------------------------------------------------------------------


def array(value):
    """A copy as numpy: what is recorded must not change with the tensor it was read from."""
    return value.detach().numpy().copy() if torch.is_tensor(value) else np.asarray(value)


class Calls(TorchFunctionMode):
    """Lists every torch call made inside it, as (name, arguments, result), and lets each one through unchanged."""

    def __init__(self):
        super().__init__()
        self.made = []

    def __torch_function__(self, function, types, args=(), kwargs=None):
        result = function(*args, **(kwargs or {}))
        self.made.append((function.__name__.strip("_"), args, result))
        return result

    def using(self, name, tensor):
        """Results of the calls of `name` whose first argument is this very tensor."""
        return [result for called, args, result in self.made if called == name and args[0] is tensor]


@contextlib.contextmanager
def replaced(owner, name, wrap):
    """Puts wrap(original) in the place of owner's attribute, and the original back at the end."""
    original = getattr(owner, name)
    setattr(owner, name, wrap(original))
    try:
        yield
    finally:
        setattr(owner, name, original)


def looking_after(look):
    """A wrapper that shows `look` the result and the arguments of each call, and changes neither."""

    def wrap(original):
        def watched(*args, **kwargs):
            result = original(*args, **kwargs)
            look(result, *args)
            return result

        return watched

    return wrap


class Recorder:
    """
    Watches one trainer. Nothing of the trainer's is called a second time: another `loss` would advance the threshold
    and the tokens since fired.
    """

    def __init__(self, trainer):
        self.trainer = trainer
        self.step = {}  # what the current step has recorded so far
        self.flags = {name: [] for name in FLAGS}
        trainer.optimizer.register_step_pre_hook(self.saw_optimizer_step)

    @contextlib.contextmanager
    def watching(self, code):
        trainer = self.trainer
        with contextlib.ExitStack() as stack:
            for owner, name, wrap in [
                (trainer, "geometric_median", looking_after(self.saw_geometric_median)),
                (trainer, "loss", self.watch_loss),
                (trainer.ae, "encode", looking_after(self.saw_encode)),
                (trainer, "get_auxiliary_loss", looking_after(self.saw_auxiliary_loss)),
                # The next two are looked up at each call, in the trainer's module and in torch.
                (code.matryoshka, "remove_gradient_parallel_to_decoder_directions", self.watch_projection),
                (torch.nn.utils, "clip_grad_norm_", looking_after(self.saw_clipping)),
            ]:
                stack.enter_context(replaced(owner, name, wrap))
            yield

    def watch_loss(self, original):
        def watched(*args, **kwargs):
            with Calls() as calls:
                loss = original(*args, **kwargs)
            self.saw_loss(loss, calls)
            return loss

        return watched

    def watch_projection(self, original):
        # It writes into the gradient it is given, so look before it runs.
        def watched(*args):
            for name in PARAMETERS:
                self.step[f"grad.{name}"] = array(getattr(self.trainer.ae, name).grad)
            return original(*args)

        return watched

    def saw_geometric_median(self, median, points):
        self.b_dec_init = array(median)

    def saw_encode(self, result, x):
        latents, _, acts = result
        self.x = x
        self.step["x"] = array(x)
        self.step["latents"] = array(latents)
        self.step["positives"] = np.int32((acts > 0).sum())

    def saw_auxiliary_loss(self, auxk, residual, acts):
        dead = self.trainer.num_tokens_since_fired >= self.trainer.dead_feature_threshold
        self.step["auxk"] = array(auxk)
        self.step["dead"] = np.int32(self.trainer.dead_features)
        self.dead_and_positive = int((acts[:, dead] > 0).sum(dim=1).max())  # in the row that has most

    def saw_loss(self, loss, calls):
        # `loss` keeps neither the reconstructions nor the unweighted level losses; the calls it makes are, per level,
        # (x - x_reconstruct).pow(2).sum(dim=-1).mean(). The encoder's x - b_dec and the residual are never squared.
        x_hat, level_losses = [], []
        for name, args, difference in calls.made:
            if name != "sub" or args[0] is not self.x:
                continue
            for square in calls.using("pow", difference):
                (summed,) = calls.using("sum", square)
                (mean,) = calls.using("mean", summed)
                x_hat.append(array(args[1]))
                level_losses.append(array(mean))
        assert len(level_losses) == len(self.trainer.group_sizes), "the loss is not built as expected"
        # The last operation is mean_l2_loss + auxk_alpha * auxk_loss.
        ((l2, _),) = [args for name, args, result in calls.made if result is loss]
        self.step["x_hat"] = np.stack(x_hat)
        self.step["level_losses"] = np.stack(level_losses)
        self.step["l2"] = array(l2)
        self.step["loss"] = array(loss)

    def saw_clipping(self, norm, parameters, max_norm):
        self.step["grad_norm"] = array(norm)
        self.clip_norm = max_norm

    def saw_optimizer_step(self, optimizer, args, kwargs):
        self.step["lr"] = np.float64(optimizer.param_groups[0]["lr"])
        for parameter in PARAMETERS:
            self.step[f"clipped.{parameter}"] = array(getattr(self.trainer.ae, parameter).grad)

    def state(self):
        """The state between two steps. Adam has none before its first step; zeros are what it then starts from."""
        ae, adam = self.trainer.ae, self.trainer.optimizer.state
        state = {name: array(getattr(ae, name)) for name in PARAMETERS}
        for name in PARAMETERS:
            parameter = getattr(ae, name)
            moments = adam.get(parameter, {})
            state[f"m.{name}"] = array(moments.get("exp_avg", torch.zeros_like(parameter)))
            state[f"v.{name}"] = array(moments.get("exp_avg_sq", torch.zeros_like(parameter)))
        state["threshold"] = array(ae.threshold)
        state["tokens_since_fired"] = array(self.trainer.num_tokens_since_fired).astype(np.int32)
        return state

    def flag_step(self, t, before):
        """Notes which branches step t took."""
        dead, k_aux = int(self.step["dead"]), self.trainer.top_k_aux
        positives, selected = int(self.step["positives"]), self.trainer.k * len(self.x)
        averaging = t > self.trainer.threshold_start_step
        was_set = before["threshold"] >= 0
        taken = {
            "none-dead": dead == 0,
            "fewer-dead-than-k_aux": 0 < dead < k_aux,
            "as-many-dead-as-k_aux": dead == k_aux,
            "more-dead-than-k_aux": dead > k_aux,
            "dead-latent-with-positive-acts": self.dead_and_positive > 0,
            "more-positive-dead-than-k_aux": self.dead_and_positive > k_aux,
            "fewer-positive-acts-than-k-batch": positives < selected,
            "no-positive-acts": positives == 0,
            "threshold-unset": not averaging,
            "threshold-first-update": averaging and not was_set,
            "threshold-average": averaging and was_set,
            "lr-zero": self.step["lr"] == 0,
            "clipped": self.step["grad_norm"] >= self.clip_norm,
            "not-clipped": self.step["grad_norm"] < self.clip_norm,
        }
        for name, steps in self.flags.items():
            if taken[name]:
                steps.append(t)

    def record(self, xs, code):
        states, steps = [self.state()], []
        with self.watching(code):
            for t, x in enumerate(xs):
                self.step = {}
                self.trainer.update(t, x)
                self.flag_step(t, states[-1])
                steps.append(self.step)
                states.append(self.state())
        tensors = {name: np.stack([state[name] for state in states]) for name in states[0]}
        tensors |= {name: np.stack([step[name] for step in steps]) for name in steps[0]}
        tensors["b_dec_init"] = self.b_dec_init
        return tensors


def run_config(run, trainer, recorder):
    sizes = trainer.group_sizes
    return {
        "kind": "run",
        "d_in": trainer.ae.activation_dim,
        "d_sae": trainer.ae.dict_size,
        "batch": run.batch,
        "k": trainer.k,
        "group_fractions": trainer.group_fractions,
        "group_sizes": sizes,
        "prefixes": np.cumsum(sizes).tolist(),
        "group_weights": trainer.group_weights,
        # The weighted level losses are averaged, so the factor of level g in the total is its group weight over G.
        "level_weights": [weight / len(sizes) for weight in trainer.group_weights],
        "auxk_alpha": trainer.auxk_alpha,
        "k_aux": trainer.top_k_aux,
        "dead_feature_threshold": trainer.dead_feature_threshold,
        "threshold_start_step": trainer.threshold_start_step,
        "threshold_beta": trainer.threshold_beta,
        "steps": trainer.steps,
        "lr": trainer.lr,
        "warmup_steps": trainer.warmup_steps,
        "decay_start": trainer.decay_start,
        "adam_betas": list(trainer.optimizer.defaults["betas"]),
        "adam_eps": trainer.optimizer.defaults["eps"],
        "clip_norm": recorder.clip_norm,
        "seed": run.seed,
    }


def record_run(run, dialect, weights):
    with dialect.running():
        trainer = run.trainer(dialect)
        for name, weight in weights.items():
            getattr(trainer.ae, name).data.copy_(weight)
        recorder = Recorder(trainer)
        tensors = recorder.record([dialect.tensor(x) for x in run.activations()], dialect.code)
    absent = [name for name, steps in recorder.flags.items() if not steps and name not in run.without]
    if absent:
        sys.exit(f"make.py: {run.id} {dialect.name}: no step for {absent}")
    return tensors, run_config(run, trainer, recorder), recorder.flags


# ---------------------------------------------------------------------------------------------------------------------
# Single operators
# ---------------------------------------------------------------------------------------------------------------------


def error_of(call, *args, **kwargs):
    """What an invalid call of the published code raises, as data."""
    try:
        call(*args, **kwargs)
    except Exception as error:
        return {"error": type(error).__name__, "message": str(error)}
    sys.exit("make.py: a call that used to raise did not")


def small_trainer(dialect, group_fractions=(0.5, 0.5), d_in=3, d_sae=4, k=1, **arguments):
    return dialect.code.matryoshka.MatryoshkaBatchTopKTrainer(
        steps=10, activation_dim=d_in, dict_size=d_sae, k=k, layer=0, lm_name="none", warmup_steps=0,
        group_fractions=list(group_fractions), seed=0, device="cpu", **arguments,
    )  # fmt: skip


def geometric_medians(dialect, tensors):
    rng = np.random.default_rng(10)
    cloud = rng.standard_normal((20, 5))
    batches = {
        "gaussian": (cloud, "20 rows in 5 dimensions"),
        "outlier": (np.vstack([cloud, 100 + cloud[:2]]), "with two rows far away"),
        "collinear": (np.outer(rng.standard_normal(9), rng.standard_normal(4)), "rows on a line"),
        "far-from-origin": (cloud + 50, "gaussian moved by 50 in every coordinate"),
        "two-rows": (cloud[:2], "every point between them is a median; it stays at the mean"),
        "identical-rows": (np.repeat(cloud[:1], 2, axis=0), "the mean is a row: NaN"),
        "one-row": (cloud[:1], "the mean is the row: NaN"),
    }
    facts = []
    for id, (points, comment) in batches.items():
        points = dialect.tensor(points.astype(np.float32))
        trainer = small_trainer(dialect)
        with Calls() as calls:
            median = trainer.geometric_median(points)
        norms = sum(name == "norm" for name, _, _ in calls.made)
        iterations = norms // 2  # one for the weights, one for the stop
        tensors[f"geometric_median.{id}.points"] = array(points)
        tensors[f"geometric_median.{id}.median"] = array(median)
        facts.append({"id": id, "comment": comment, "iterations": iterations})
    return facts


def lr_multipliers(dialect, tensors):
    valid = {  # (steps, warmup_steps, decay_start)
        "constant": (10, 0, None),
        "warmup": (10, 4, None),
        "warmup-of-one": (10, 1, None),
        "decay": (10, 0, 7),
        "warmup-and-decay": (20, 5, 13),
        "decay-right-after-warmup": (12, 5, 6),
    }
    invalid = {
        "decay-before-warmup-ends": (10, 5, 5),
        "decay-at-the-end": (10, 0, 10),
        "warmup-throughout": (10, 10, None),
    }
    facts = []
    for id, setting in (valid | invalid).items():
        facts.append({"id": id} | dict(zip(("steps", "warmup_steps", "decay_start"), setting)))
        if id in invalid:
            facts[-1] |= error_of(dialect.code.trainer.get_lr_schedule, *setting)
        else:
            multiplier = dialect.code.trainer.get_lr_schedule(*setting)
            tensors[f"lr_multipliers.{id}"] = np.array([multiplier(t) for t in range(setting[0] + 1)])
    return facts


def group_sizes(dialect):
    valid = [
        ([0.29, 0.71], 100),  # 0.29 * 100 is 28.999999999999996
        ([0.57, 0.43], 100),  # 0.57 * 100 is 56.99999999999999
        ([0.1, 0.2, 0.3, 0.4], 32),
        ([0.3, 0.3, 0.4], 10),
        ([1 / 3, 1 / 3, 1 / 3], 9),
        ([1.0], 7),
        ([1 / 32, 1 / 16, 1 / 8, 1 / 4, 1 / 2 + 1 / 32], 65536),  # the paper's
    ]
    invalid = [([0.5, 0.4], 10), ([0.05, 0.95], 10), ([0.5, 0.5, 0.0], 10)]
    facts = []
    for fractions, d_sae in valid:
        sizes = small_trainer(dialect, fractions, d_in=1, d_sae=d_sae).group_sizes
        facts.append({"group_fractions": fractions, "d_sae": d_sae, "group_sizes": sizes})
    for fractions, d_sae in invalid:
        error = error_of(small_trainer, dialect, fractions, d_sae=d_sae)
        facts.append({"group_fractions": fractions, "d_sae": d_sae} | error)
    return facts


def threshold_updates(dialect, tensors):
    rng = np.random.default_rng(11)
    drawn = np.maximum(rng.standard_normal((8, 3, 4)) - 0.5, 0).astype(np.float32)
    with_empty = drawn.copy()
    with_empty[[2, 3, 6]] = 0
    sequences = {
        "beta-0.999": (drawn, 0.999, "the default"),
        "beta-0.9": (drawn, 0.9, "faster"),
        "empty-batches": (with_empty, 0.9, "batches 2, 3 and 6 have no positive latent: the threshold decays"),
    }
    facts = []
    for id, (batches, beta, comment) in sequences.items():
        trainer = small_trainer(dialect, threshold_beta=beta)
        thresholds = [array(trainer.ae.threshold)]
        for batch in batches:
            trainer.update_threshold(dialect.tensor(batch))
            thresholds.append(array(trainer.ae.threshold))
        tensors[f"update_threshold.{id}.latents"] = array(dialect.tensor(batches))
        tensors[f"update_threshold.{id}.threshold"] = np.stack(thresholds)
        facts.append({"id": id, "threshold_beta": beta, "comment": comment})
    empty = error_of(small_trainer(dialect).update_threshold, dialect.tensor(np.zeros((3, 4))))
    facts.append({"id": "first-batch-empty", "comment": "the threshold is unset and no latent is positive"} | empty)
    return facts


def decoder_norm(dialect, tensors):
    rng = np.random.default_rng(12)
    W_dec = rng.standard_normal((6, 5))
    W_dec /= np.linalg.norm(W_dec, axis=1, keepdims=True)
    W_dec[1] = 0
    W_dec[2] *= 1e-4
    W_dec[3] *= 1e4
    grad = rng.standard_normal((6, 5))
    grad[4] = 3 * W_dec[4]  # entirely parallel: about 2e-6 of it stays
    W_dec, grad = (dialect.tensor(values.astype(np.float32)) for values in (W_dec, grad))
    tensors["decoder_norm.W_dec"], tensors["decoder_norm.grad"] = array(W_dec), array(grad)
    # Both write into what they are given, and both take the transpose.
    code, d_sae, d_in = dialect.code.trainer, *W_dec.shape
    projected = code.remove_gradient_parallel_to_decoder_directions(W_dec.clone().T, grad.clone().T, d_in, d_sae).T
    unit = code.set_decoder_norm_to_unit_norm(torch.nn.Parameter(W_dec.clone().T), d_in, d_sae).T
    tensors["decoder_norm.projected"], tensors["decoder_norm.unit"] = array(projected), array(unit)
    return {"projection_eps": 1e-6, "unit_norm_eps": 2.0**-23}


def encode(dialect, tensors):
    # Small multiples of 1/4, so that acts, and therefore ties with the threshold, are exact in any order of summation.
    rng = np.random.default_rng(13)

    def quarters(*shape):
        return rng.integers(-4, 5, shape) / 4

    ae = small_trainer(dialect, d_in=3, d_sae=6, k=2).ae
    parameters = {"W_enc": quarters(3, 6), "b_enc": quarters(6), "W_dec": quarters(6, 3), "b_dec": quarters(3)}
    # The multiples of 1/1024 make all acts different, so the top k of the batch is unique.
    x = dialect.tensor(quarters(5, 3) + rng.permutation(15).reshape(5, 3) / 1024)
    for name, values in parameters.items():
        getattr(ae, name).data.copy_(dialect.tensor(values))
        tensors[f"encode.{name}"] = array(getattr(ae, name))
    tensors["encode.x"] = array(x)
    acts = ae.encode(x)  # at the unset threshold, -1: all of them
    positive = acts[acts > 0].sort().values
    assert len(positive) == len(positive.unique()) >= 12, "choose another seed: acts tie, or too few are positive"
    thresholds = torch.stack([ae.threshold, dialect.tensor(0), positive[0], positive[len(positive) // 2], positive[-1]])
    latents = []
    for threshold in thresholds:
        ae.threshold = threshold
        latents.append(array(ae.encode(x)))
    tensors["encode.threshold"], tensors["encode.latents"] = array(thresholds), np.stack(latents)
    tensors["encode.batch_top_k"] = array(ae.encode(x, use_threshold=False))
    ae.active_groups = 1
    tensors["encode.batch_top_k_first_group"] = array(ae.encode(x, use_threshold=False))
    too_many = error_of(small_trainer(dialect, d_in=3, d_sae=4, k=5).ae.encode, x, use_threshold=False)
    return {"k": int(ae.k), "group_sizes": ae.group_sizes.tolist(), "k_above_d_sae": {"k": 5, "d_sae": 4} | too_many}


def scale_biases(dialect, tensors):
    scale = 2.75
    before, after = [-1.0, 0.0, 0.3], []
    for threshold in before:
        ae = small_trainer(dialect).ae
        ae.b_enc.data.copy_(dialect.tensor([0.1, -0.2, 0.3, 0.0]))
        ae.b_dec.data.copy_(dialect.tensor([1.0, -2.0, 0.7]))
        ae.threshold.fill_(threshold)
        tensors["scale_biases.b_enc"], tensors["scale_biases.b_dec"] = array(ae.b_enc), array(ae.b_dec)
        ae.scale_biases(scale)
        after.append(array(ae.threshold))
    tensors["scale_biases.threshold"] = array(dialect.tensor(before))
    tensors["scale_biases.scaled_threshold"] = np.stack(after)
    tensors["scale_biases.scaled_b_enc"], tensors["scale_biases.scaled_b_dec"] = array(ae.b_enc), array(ae.b_dec)
    return {"scale": scale}


def record_operators(dialect):
    tensors = {}
    with dialect.running():
        config = {
            "kind": "operators",
            "geometric_median": geometric_medians(dialect, tensors),
            "lr_multipliers": lr_multipliers(dialect, tensors),
            "group_sizes": group_sizes(dialect),
            "update_threshold": threshold_updates(dialect, tensors),
            "decoder_norm": decoder_norm(dialect, tensors),
            "encode": encode(dialect, tensors),
            "scale_biases": scale_biases(dialect, tensors),
        }
    return tensors, config


# ---------------------------------------------------------------------------------------------------------------------
# Files
# ---------------------------------------------------------------------------------------------------------------------

SAFETENSORS_DTYPE = {"float64": "F64", "float32": "F32", "int32": "I32"}


def write_safetensors(path, tensors, metadata):
    """
    Writes the format by hand (8 bytes of header length, a JSON header, raw little-endian arrays), because the
    library puts the metadata in a different order at each call. The library reads the file back as a check.
    """
    # Widest first, so that every array is aligned to its element.
    names = sorted(tensors, key=lambda name: (-tensors[name].itemsize, tensors[name].dtype.kind))
    header, offset = {"__metadata__": metadata}, 0
    for name in names:
        values = tensors[name]
        end = offset + values.nbytes
        dtype = SAFETENSORS_DTYPE[values.dtype.name]
        header[name] = {"dtype": dtype, "shape": list(values.shape), "data_offsets": [offset, end]}
        offset = end
    text = json.dumps(header, separators=(",", ":")).encode("utf-8")
    text += b" " * (-len(text) % 8)
    data = b"".join(tensors[name].astype(tensors[name].dtype.newbyteorder("<")).tobytes() for name in names)
    path.write_bytes(struct.pack("<Q", len(text)) + text + data)
    with safe_open(path, framework="numpy") as file:
        assert file.metadata() == metadata
        for name, values in tensors.items():
            np.testing.assert_array_equal(file.get_tensor(name), values, strict=True)


def write_vector(id, comment, dialect, tensors, config, flags=None):
    """Writes one file; returns its entry in the manifest."""
    path = HERE / f"{id}.{dialect.name}.safetensors"
    metadata = {
        "id": f"{id}.{dialect.name}",
        "dtype": dialect.name,
        "source": f"{PACKAGE} {VERSION}",
        "config": json.dumps(config),
    }
    write_safetensors(path, tensors, metadata)
    content = path.read_bytes()
    return {
        "id": metadata["id"],
        "file": path.name,
        "comment": comment,
        "dtype": dialect.name,
        "flags": flags or {},
        "bytes": len(content),
        "sha256": hashlib.sha256(content).hexdigest(),
        "config": config,
        "tensors": {
            name: [SAFETENSORS_DTYPE[values.dtype.name], *values.shape] for name, values in sorted(tensors.items())
        },
    }


def manifest_text(manifest):
    """Indented JSON with every list of plain values on one line."""

    def on_one_line(found):
        return "[" + re.sub(r"\s*\n\s*", " ", found[1]).strip() + "]"

    text = json.dumps(manifest, indent=2, ensure_ascii=False)
    return re.sub(r"\[([^\[\]{}]*)\]", on_one_line, text) + "\n"


def main():
    # One thread: the order of summation, and with it the last bits, must not depend on how many cores there are.
    torch.set_num_threads(1)
    float32, float64 = dialects = [Dialect(torch.float32), Dialect(torch.float64)]
    vectors = []
    for run in RUNS:
        weights = run.initial_weights(float64)
        for dialect in dialects:
            vectors.append(write_vector(run.id, run.comment, dialect, *record_run(run, dialect, weights)))
    comment = "single operators, called one at a time"
    for dialect in dialects:
        vectors.append(write_vector("operators", comment, dialect, *record_operators(dialect)))
    manifest = {
        "source": {
            "package": PACKAGE,
            "version": VERSION,
            "files": SOURCES,
            "torch": torch.__version__,
            "numpy": np.__version__,
            "cpu_capability": torch.backends.cpu.get_cpu_capability(),
        },
        "dtypes": {
            "float32": "the published source, unedited",
            "float64": "float64 default dtype, and the casts below replaced",
        },
        "casts": [dict(zip(("file", "line", "before", "after"), cast)) for cast in CASTS],
        "flags": FLAGS,
        "tensors": {"run": RUN_TENSORS, "operators": OPERATOR_TENSORS},
        "vectors": vectors,
    }
    (HERE / "manifest.json").write_text(manifest_text(manifest), encoding="utf-8")
    for vector in vectors:
        print(f"{vector['file']}: {len(vector['tensors'])} tensors, {vector['bytes']} bytes")


if __name__ == "__main__":
    main()
