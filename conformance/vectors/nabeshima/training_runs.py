"""Training runs of the toy model's MatryoshkaSAE: what is trained on which inputs, and watching it."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from batches import drifting_batches
from recording import StepLog, adam_moments, all_replaced, array, listing_calls, looking_after

PARAMETERS = ("W_enc", "b_enc", "W_dec", "b_dec")

STEPS = 200

FLAGS = {
    "scale-warmup": "sparsity_scale is below the controller's scale: (t + 1) / W of it",
    "controller-waiting": "up to step W the controller's scale stays as it was",
    "controller-below-target": "fewer positive latents than target_l0: the scale shrinks",
    "controller-at-target": "as many as target_l0: the scale grows",
    "controller-above-target": "more than target_l0: the scale grows",
    "permutation-changes-order": "parameters are re-ordered after the update; Adam's moments and the running averages "
    "are not",
    "equal-running-averages": "latents with equal running averages: which comes first is not specified",
    "one-latent-prefix": "the smallest prefix is of a single latent",
    "zero-row": "some row of x is 0",
    "clipped": "the gradient norm is at least 1",
    "not-clipped": "the gradient norm is below 1: the factor is min(1, 1 / (norm + 1e-6))",
    "lr-zero": "update 0 has lr 0: moments move, weights are only re-ordered",
    "lr-warmup": "update t < 100 has lr t / 100",
    "lr-constant": "between warm-up and cool-down",
    "lr-cooldown": "the last fifth",
}


@dataclass
class Run:
    """
    One training run. `arguments` go to the constructor as they are, with n_steps.

    The remaining fields choose a start and inputs that lead through every branch of a step:
    silent      latents with a zero encoder column and a bias far below 0, which cannot be positive
    amplitude   step -> spread of that batch
    zero_rows   step -> number of rows that are 0
    without     the flags that need not occur
    """

    id: str
    comment: str
    seed: int
    batch: int
    arguments: dict
    silent: tuple
    amplitude: Callable
    zero_rows: dict
    without: tuple

    def activations(self):
        """x (steps, batch, d_in), float32 values, the same for both dtypes."""
        x = drifting_batches(self.seed, STEPS, self.batch, self.arguments["d_model"], self.amplitude, quiet={})
        for step, rows in self.zero_rows.items():
            x[step, :rows] = 0
        return x

    def new_sae(self, dialect):
        return dialect.code.MatryoshkaSAE(n_steps=STEPS, **self.arguments)

    def initial_weights(self, float64):
        """
        Float32 values, the same for both dtypes: the published initialisation, then the change described above.

        It is run in float64 and rounded, so that a processor that sums in another order starts from the same values.
        """
        torch.manual_seed(self.seed)
        with float64.running():
            sae = self.new_sae(float64)
        weights = {name: getattr(sae, name).detach().float() for name in PARAMETERS}
        weights["W_enc"][:, list(self.silent)] = 0
        weights["b_enc"][list(self.silent)] = -20.0
        return weights


RUNS = [
    Run(
        id="l1",
        comment="d_in 6, d_sae 12, 4 prefixes, l1 penalty, the notebook's starting scale",
        seed=2,
        batch=8,
        arguments=dict(d_model=6, n_latents=12, n_prefixes=4, target_l0=5.0, starting_sparsity_loss_scale=0.2),
        silent=(3, 9),
        amplitude=lambda step: 1 + 0.6 * np.sin(step / 4),
        zero_rows={3: 2, 39: 1},
        without=(),
    ),
    Run(
        id="log",
        comment="d_in 5, d_sae 13, 5 prefixes, log penalty",
        seed=3,
        batch=8,
        arguments=dict(
            d_model=5, n_latents=13, n_prefixes=5, target_l0=5.5, sparsity_type="log", starting_sparsity_loss_scale=0.1
        ),
        silent=(1, 10),
        amplitude=lambda step: 1 + 0.6 * np.sin(step / 4),
        zero_rows={3: 2, 39: 1},
        without=(),
    ),
    Run(
        id="one-dimension",
        comment="d_in 1, d_sae 6, prefixes from 3 up, all four of them in every step; no permutation; 1.2, the default "
        "starting scale",
        seed=5,
        batch=5,
        arguments=dict(
            d_model=1, n_latents=6, n_prefixes=4, target_l0=3.2, min_prefix_length=3, permute_latents=False, lr=0.01
        ),
        silent=(),
        amplitude=lambda step: 1 + 0.6 * np.sin(step / 4),
        zero_rows={0: 4, 3: 5, 39: 4},
        without=("permutation-changes-order", "equal-running-averages", "one-latent-prefix"),
    ),
]


class Recorder:
    """Watches one SAE."""

    def __init__(self, sae):
        self.sae = sae
        self.log = StepLog(FLAGS)
        sae.optimizer.register_step_pre_hook(self.saw_optimizer_step)

    def watching(self, code):
        return all_replaced(
            [
                (self.sae, "step", listing_calls(self.saw_step)),
                (self.sae.normalizer, "normalize", looking_after(self.saw_normalised)),
                (self.sae.sparsity_controller, "forward", looking_after(self.saw_scale)),
                # Looked up at each call, in the module and in torch.
                (code, "sample_prefixes", looking_after(self.saw_prefixes)),
                (torch.nn.utils, "clip_grad_norm_", self.watch_clipping),
            ]
        )

    def watch_clipping(self, original):
        # It writes into the gradients it is given, so look before it runs.
        def watched(parameters, max_norm):
            for name in PARAMETERS:
                self.step[f"grad.{name}"] = array(getattr(self.sae, name).grad)
            norm = original(parameters, max_norm=max_norm)
            self.step["grad_norm"] = array(norm)
            self.clip_norm = max_norm
            return norm

        return watched

    def saw_normalised(self, normalised, x, update):
        self.step["normalised"] = array(normalised)

    def saw_prefixes(self, prefixes, *args):
        self.step["prefixes"] = array(prefixes).astype(np.int32)

    def saw_scale(self, scale, l0):
        self.step["l0"] = np.asarray(l0)
        self.step["sparsity_scale"] = np.float64(scale)

    def saw_step(self, result, calls, x):
        step = self.step
        step["latents"] = np.concatenate([array(acts) for acts in calls.named("relu")], axis=1)
        # torch.cumsum is called twice: on the penalties and on the reconstructions of the groups.
        sparsity, x_hat = calls.named("cumsum")
        (square,) = calls.using("pow", *calls.using("sub", x_hat))
        (level_losses,) = calls.using("mean", *calls.using("sum", square))
        step["x_hat"] = array(x_hat)
        step["level_losses"] = array(level_losses)
        step["level_sparsity"] = array(sparsity)
        (step["l2"],) = calls.values("mean", level_losses)
        (step["sparsity"],) = calls.values("mean", sparsity)
        step |= {"x": array(x), "loss": array(result["loss"])}
        if self.sae.permute_latents:
            (permutation,) = calls.named("argsort")
            step["permutation"] = array(permutation).astype(np.int32)

    def saw_optimizer_step(self, optimizer, args, kwargs):
        self.step["lr"] = np.float64(optimizer.param_groups[0]["lr"])
        for name in PARAMETERS:
            self.step[f"clipped.{name}"] = array(getattr(self.sae, name).grad)

    def state(self):
        """The state between two steps."""
        sae = self.sae
        parameters = {name: getattr(sae, name) for name in PARAMETERS}
        state = {name: array(parameter) for name, parameter in parameters.items()}
        state |= adam_moments(sae.optimizer, parameters)
        state["running_avg"] = array(sae.normalizer.running_avg)
        if sae.permute_latents:
            state["sq_act_running_avg"] = array(sae.sq_act_running_avg)
        state["controller_scale"] = np.float64(sae.sparsity_controller.sparsity_loss_scale)
        state["controller_step"] = np.int32(sae.sparsity_controller.step)
        return state

    def branches(self, t, x, after):
        """Which branches step t took."""
        step, controller = self.step, self.sae.sparsity_controller
        l0, controlling = step["l0"], t > controller.warmup_steps
        target = l0.dtype.type(controller.target_l0)  # the comparison is made in l0's dtype
        averages = after.get("sq_act_running_avg", np.arange(2))
        order = step.get("permutation", np.arange(2))
        identity = bool((order == np.arange(len(order))).all())
        return {
            "scale-warmup": step["sparsity_scale"] < after["controller_scale"],
            "controller-waiting": not controlling,
            "controller-below-target": controlling and bool(l0 < target),
            "controller-at-target": controlling and bool(l0 == target),
            "controller-above-target": controlling and bool(l0 > target),
            "permutation-changes-order": not identity,
            "equal-running-averages": len(np.unique(averages)) < len(averages),
            "one-latent-prefix": step["prefixes"][0] == 1,
            "zero-row": not np.abs(x).max(axis=1).all(),
            "clipped": step["grad_norm"] >= self.clip_norm,
            "not-clipped": step["grad_norm"] < self.clip_norm,
            "lr-zero": step["lr"] == 0,
            "lr-warmup": t < 100,
            "lr-constant": 100 <= t < 0.8 * STEPS,
            "lr-cooldown": t >= 0.8 * STEPS,
        }

    def record(self, xs, code):
        self.log.saw_state(0, self.state())
        with self.watching(code):
            for t, x in enumerate(xs):
                self.step = {}
                self.sae.step(x)
                after = self.state()
                self.log.saw_step(t, self.step, self.branches(t, array(x), after))
                self.log.saw_state(t + 1, after)
        return self.log.tensors()


def run_config(run, recorder):
    sae, adam = recorder.sae, recorder.sae.optimizer.defaults
    return {
        "kind": "run",
        "d_in": sae.d_model,
        "d_sae": sae.n_latents,
        "batch": run.batch,
        "n_prefixes": sae.n_prefixes,
        "min_prefix_length": sae.min_prefix_length,
        # Factor of each prefix's sum over d_in and mean over rows in the total.
        "level_weights": [1 / sae.n_prefixes] * sae.n_prefixes,
        "sparsity_type": sae.sparsity_type,
        "target_l0": sae.sparsity_controller.target_l0,
        "starting_sparsity_loss_scale": run.arguments.get("starting_sparsity_loss_scale", 1.2),
        "controller_warmup_steps": sae.sparsity_controller.warmup_steps,
        "controller_eps": sae.sparsity_controller.eps,
        "permute_latents": sae.permute_latents,
        "sq_act_alpha": 0.95,
        "normalizer_alpha": sae.normalizer.alpha,
        "steps": STEPS,
        "recorded_steps": recorder.log.recorded_steps,
        "recorded_states": recorder.log.recorded_states,
        "lr": adam["lr"],
        "lr_warmup_steps": 100,
        "lr_cooldown_fraction": 0.2,
        "lr_end_factor": 0.1,
        "adam_betas": list(adam["betas"]),
        "adam_eps": adam["eps"],
        "clip_norm": recorder.clip_norm,
        "seed": run.seed,
    }


def record_run(run, dialect, weights):
    with dialect.running() as code:
        sae = run.new_sae(dialect)
        for name, weight in weights.items():
            getattr(sae, name).data.copy_(weight)
        recorder = Recorder(sae)
        np.random.seed(run.seed)  # the prefixes are drawn with it
        tensors = recorder.record([dialect.tensor(x) for x in run.activations()], code)
    recorder.log.check_flags(run.id, dialect, run.without)
    return tensors, run_config(run, recorder), recorder.log.flags
