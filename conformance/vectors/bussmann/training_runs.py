"""Training runs of GlobalBatchTopKMatryoshkaSAE: what is trained on which inputs, and watching it."""

import contextlib
import io
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from batches import drifting_batches
from recording import StepLog, adam_moments, all_replaced, array, listing_calls, looking_after
from torch.optim.optimizer import register_optimizer_step_pre_hook

PARAMETERS = ("W_enc", "b_enc", "W_dec", "b_dec")
TRAINED = ("W_enc", "W_dec", "b_dec")  # b_enc is never used: it has no gradient, and Adam no state for it

STEPS = 200

FLAGS = {
    "none-dead": "no latent is dead: the auxiliary loss is 0",
    "fewer-dead-than-k_aux": "dead latents, but fewer than top_k_aux: all of them are decoded",
    "as-many-dead-as-k_aux": "exactly top_k_aux dead latents",
    "more-dead-than-k_aux": "each row decodes its own top_k_aux of the dead latents",
    "dead-latent-with-positive-acts": "some dead latent is positive before selection",
    "more-positive-dead-than-k_aux": "in some row more than top_k_aux dead latents are positive, so the top k matters",
    "aux-reconstruction-zero": "dead latents, none of them positive in any row: the auxiliary loss is exactly 0, and "
    "the residual gets no gradient from it",
    "latent-just-dead": "some latent's count is exactly n_batches_to_dead: dead for the auxiliary loss (>=), not in "
    "the logged number of dead latents (>)",
    "fewer-positive-acts-than-k-batch": "the rest of the selection falls on zeros, which no recorded value shows",
    "no-positive-acts": "nothing is selected: every reconstruction is b_dec",
    "threshold-kept": "no positive latent: the threshold stays as it was",
    "threshold-first-update": "from 0, without bias correction: 0.01 times the smallest positive latent",
    "threshold-average": "the threshold moves by the moving average",
    "clipped": "the gradient norm is at least max_grad_norm",
    "not-clipped": "the gradient norm is below max_grad_norm: the factor is min(1, max_grad_norm / (norm + 1e-6))",
}


@dataclass
class Run:
    """
    One training run. `settings` go into the published default configuration as they are.

    The remaining fields choose a start and inputs that lead through every branch of a step:
    faint       latents with small encoder columns: often positive, seldom large enough to be selected
    silent      latents with zero encoder columns, which can never be positive
    tilt        each encoder column's component along one direction is -tilt, so that an input along it fires nothing;
                None in one dimension, where an input equal to b_dec does it
    amplitude   step -> spread of that batch
    quiet       step -> number of rows that fire nothing, or next to nothing
    without     the flags that need not occur
    """

    id: str
    comment: str
    seed: int
    settings: dict
    faint: tuple
    silent: tuple
    tilt: float | None
    amplitude: Callable
    quiet: dict
    without: tuple = ()

    def direction(self):
        """Unit vector without a mean, which standardising rows would remove."""
        d_in = self.settings["act_size"]
        direction = np.cos(np.pi * (np.arange(d_in) + 0.5) / d_in)
        return direction / np.linalg.norm(direction)

    def activations(self):
        """x (steps, batch, d_in), float32 values, the same for both dtypes."""
        batch, d_in = self.settings["batch_size"], self.settings["act_size"]
        x = drifting_batches(self.seed, STEPS, batch, d_in, self.amplitude, quiet={}).astype(np.float64)
        noise = np.random.default_rng(self.seed + 1)
        if self.tilt is not None:
            x -= np.multiply.outer(x @ self.direction(), self.direction())
        for step, rows in self.quiet.items():
            x[step, :rows] = 0
            if self.tilt is not None:
                x[step, :rows] = 4 * self.direction() + 0.2 * noise.standard_normal((rows, d_in))
        return x.astype(np.float32)

    def config(self, dialect):
        defaults = dialect.code.config.get_default_cfg()
        settings = self.settings | {"num_tokens": STEPS * self.settings["batch_size"], "device": "cpu"}
        return defaults | settings | {"seed": self.seed, "dtype": dialect.dtype}

    def initial_weights(self, float64):
        """
        Float32 values, the same for both dtypes: the published initialisation, then the changes described above. b_enc
        is not 0, to show that it is not used.

        It is run in float64 and rounded, so that a processor that sums in another order starts from the same values.
        """
        with float64.running():
            sae = float64.code.sae.GlobalBatchTopKMatryoshkaSAE(self.config(float64))
        weights = {name: getattr(sae, name).detach() for name in PARAMETERS}
        if self.tilt is not None:
            direction = torch.tensor(self.direction())
            weights["W_enc"] -= torch.outer(direction, direction @ weights["W_enc"] + self.tilt)
        weights["W_enc"][:, list(self.faint)] /= 8
        weights["W_enc"][:, list(self.silent)] = 0
        weights["b_enc"] += 0.5
        return {name: weight.float() for name, weight in weights.items()}


RUNS = [
    Run(
        id="normalised-input",
        comment="d_in 6, d_sae 12 in groups of 2, 4, 6; rows standardised, as by default",
        seed=3,
        settings=dict(
            act_size=6,
            dict_size=12,
            group_sizes=[2, 4, 6],
            batch_size=8,
            top_k=2,
            top_k_aux=3,
            n_batches_to_dead=3,
            lr=0.01,
        ),
        faint=(0, 4, 7, 8, 10),
        silent=(5,),
        tilt=0.7,
        amplitude=lambda step: 1 + 0.6 * np.sin(step / 4),
        quiet={6: 8, 9: 5, 10: 6},
        without=("clipped",),
    ),
    Run(
        id="four-groups",
        comment="d_in 5, d_sae 13 in groups of 1, 2, 3, 7; gradients clipped",
        seed=5,
        settings=dict(
            act_size=5,
            dict_size=13,
            group_sizes=[1, 2, 3, 7],
            batch_size=8,
            top_k=2,
            top_k_aux=3,
            aux_penalty=0.5,
            n_batches_to_dead=5,
            lr=0.01,
            max_grad_norm=0.5,
            input_unit_norm=False,
        ),
        faint=(1, 2, 5, 9, 11),
        silent=(7,),
        tilt=0.7,
        amplitude=lambda step: 1.2 + 0.9 * np.sin(step / 4),
        quiet={7: 8, 12: 7, 13: 7},
    ),
    Run(
        id="one-dimension",
        comment="d_in 1, so that decoder rows are 1 or -1 and projection removes their whole gradient; d_sae 10 in "
        "groups of 1, 2, 7; top_k_aux 512, as by default, is above d_sae",
        seed=5,
        settings=dict(
            act_size=1,
            dict_size=10,
            group_sizes=[1, 2, 7],
            batch_size=6,
            top_k=1,
            n_batches_to_dead=4,
            lr=0.01,
            max_grad_norm=0.2,
            input_unit_norm=False,
        ),
        faint=(1, 4, 6),
        silent=(8,),
        tilt=None,
        amplitude=lambda step: 1 + 0.8 * np.sin(step / 4),
        quiet={0: 6, 1: 5},
        without=(
            "as-many-dead-as-k_aux",
            "more-dead-than-k_aux",
            "more-positive-dead-than-k_aux",
            "aux-reconstruction-zero",
        ),
    ),
]


def level_losses(calls, b_dec, reconstructs):
    """
    Squared errors of b_dec alone and of each reconstruction, out of the calls that get_loss_dict makes: the one of
    b_dec is formed once, the others twice (for the smallest and largest, and for the total).
    """
    losses = []
    for x_hat in [b_dec, *reconstructs]:
        (square,) = calls.using("pow", calls.using("sub", x_hat)[-1])
        losses.extend(calls.values("mean", square))
    assert len(losses) == 1 + len(reconstructs), "the loss is not built as expected"
    return np.stack(losses)


class Recorder:
    """Watches one SAE in the published training loop, to which it also hands the batches."""

    def __init__(self, sae, xs):
        self.sae = sae
        self.xs = xs
        self.t = -1
        self.optimizer = None
        self.log = StepLog(FLAGS)

    # What the loop asks of its activation store.
    def next_batch(self):
        self.finish_step()
        self.t += 1
        self.before = self.state()
        self.log.saw_state(self.t, self.before)
        self.step = {"x": array(self.xs[self.t])}
        return self.xs[self.t]

    def finish_step(self):
        if self.t >= 0:
            self.log.saw_step(self.t, self.step, self.branches())

    def watching(self):
        return all_replaced(
            [
                (self.sae, "compute_activations", looking_after(self.saw_activations)),
                (self.sae, "get_loss_dict", listing_calls(self.saw_losses)),
                (self.sae, "get_auxiliary_loss", listing_calls(self.saw_auxiliary_loss)),
                (torch.nn.utils, "clip_grad_norm_", self.watch_clipping),
            ]
        )

    def watch_clipping(self, original):
        # It writes into the gradients it is given, so look before it runs.
        def watched(parameters, max_norm):
            for name in TRAINED:
                self.step[f"grad.{name}"] = array(getattr(self.sae, name).grad)
            assert self.sae.b_enc.grad is None
            norm = original(parameters, max_norm)
            self.step["grad_norm"] = array(norm)
            return norm

        return watched

    def saw_activations(self, result, x_cent):
        acts, latents = result
        self.acts = acts
        self.step["latents"] = array(latents)
        self.step["positives"] = np.int32((acts > 0).sum())

    def saw_auxiliary_loss(self, loss, calls, x, x_reconstruct, acts):
        dead = self.sae.num_batches_not_active >= self.sae.config["n_batches_to_dead"]
        aux_latents = torch.zeros_like(acts)
        for scattered in calls.named("scatter"):
            aux_latents[:, dead] = scattered.detach()
        self.step["aux_latents"] = array(aux_latents)
        self.step["dead"] = np.int32(dead.sum())
        self.dead_and_positive = int((acts[:, dead] > 0).sum(dim=1).max()) if dead.any() else 0

    def saw_losses(self, output, calls, x, x_reconstruct, acts, latents, x_mean, x_std, reconstructs):
        self.step["normalised"] = array(x)
        self.step["x_hat"] = np.stack([array(x_hat) for x_hat in reconstructs])
        self.step["level_losses"] = level_losses(calls, self.sae.b_dec, reconstructs)
        self.step["sae_out"] = array(output["sae_out"])
        self.step["l2"] = array(output["l2_loss"])
        self.step["aux"] = array(output["aux_loss"])
        self.step["loss"] = array(output["loss"])
        self.step["l0"] = array(output["l0_norm"])
        self.logged_dead = int(output["num_dead_features"])

    def saw_optimizer_step(self, optimizer, args, kwargs):
        self.optimizer = optimizer
        for name in TRAINED:
            self.step[f"clipped.{name}"] = array(getattr(self.sae, name).grad)
        self.step["unit.W_dec"] = array(self.sae.W_dec)

    def state(self):
        """The state between two steps."""
        parameters = {name: getattr(self.sae, name) for name in PARAMETERS}
        state = {name: array(parameter) for name, parameter in parameters.items()}
        state |= adam_moments(self.optimizer, {name: parameters[name] for name in TRAINED})
        state["threshold"] = array(self.sae.threshold)
        state["batches_since_fired"] = array(self.sae.num_batches_not_active).astype(np.int32)
        return state

    def branches(self):
        """Which branches the step took."""
        config, step = self.sae.config, self.step
        dead, k_aux, clip_norm = int(step["dead"]), config["top_k_aux"], config["max_grad_norm"]
        positives, selected = int(step["positives"]), config["top_k"] * config["batch_size"]
        return {
            "none-dead": dead == 0,
            "fewer-dead-than-k_aux": 0 < dead < k_aux,
            "as-many-dead-as-k_aux": dead == k_aux,
            "more-dead-than-k_aux": dead > k_aux,
            "dead-latent-with-positive-acts": self.dead_and_positive > 0,
            "more-positive-dead-than-k_aux": self.dead_and_positive > k_aux,
            "aux-reconstruction-zero": dead > 0 and self.dead_and_positive == 0,
            "latent-just-dead": self.logged_dead < dead,
            "fewer-positive-acts-than-k-batch": positives < selected,
            "no-positive-acts": positives == 0,
            "threshold-kept": positives == 0,
            "threshold-first-update": positives > 0 and self.before["threshold"] == 0,
            "threshold-average": positives > 0 and self.before["threshold"] > 0,
            "clipped": step["grad_norm"] >= clip_norm,
            "not-clipped": step["grad_norm"] < clip_norm,
        }

    def record(self, code):
        seen = register_optimizer_step_pre_hook(self.saw_optimizer_step)
        try:
            # The loop main.py calls. It prints the number of batches.
            with self.watching(), contextlib.redirect_stdout(io.StringIO()):
                code.training.train_sae_group_seperate_wandb([self.sae], self, None, [self.sae.config])
        finally:
            seen.remove()
        self.finish_step()
        self.log.saw_state(STEPS, self.state())
        return self.log.tensors()


def run_config(run, recorder):
    config, adam = recorder.sae.config, recorder.optimizer.defaults
    sizes = config["group_sizes"]
    weight = 1 / ((len(sizes) + 1) * config["act_size"])
    return {
        "kind": "run",
        "d_in": config["act_size"],
        "d_sae": config["dict_size"],
        "batch": config["batch_size"],
        "k": config["top_k"],
        "group_sizes": sizes,
        "prefixes": np.cumsum(sizes).tolist(),
        # Factor of each level's sum over d_in and mean over rows in the total; the first is of b_dec alone.
        "level_weights": [weight] * (len(sizes) + 1),
        "aux_penalty": config["aux_penalty"],
        "k_aux": config["top_k_aux"],
        "n_batches_to_dead": config["n_batches_to_dead"],
        "threshold_lr": 0.01,
        "l1_coeff": config["l1_coeff"],
        "input_unit_norm": config["input_unit_norm"],
        "steps": STEPS,
        "recorded_steps": recorder.log.recorded_steps,
        "recorded_states": recorder.log.recorded_states,
        "lr": config["lr"],
        "adam_betas": list(adam["betas"]),
        "adam_eps": adam["eps"],
        "clip_norm": config["max_grad_norm"],
        "seed": run.seed,
    }


def record_run(run, dialect, weights):
    with dialect.running() as code:
        sae = code.sae.GlobalBatchTopKMatryoshkaSAE(run.config(dialect))
        for name, weight in weights.items():
            getattr(sae, name).data.copy_(weight)
        recorder = Recorder(sae, [dialect.tensor(x) for x in run.activations()])
        tensors = recorder.record(code)
    recorder.log.check_flags(run.id, dialect, run.without)
    return tensors, run_config(run, recorder), recorder.log.flags
