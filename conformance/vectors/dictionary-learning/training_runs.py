"""Training runs of dictionary-learning's Matryoshka trainer: what is trained on which inputs, and watching it."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from batches import drifting_batches
from recording import StepLog, adam_moments, all_replaced, array, listing_calls, looking_after

PARAMETERS = ("W_enc", "b_enc", "W_dec", "b_dec")

STEPS = 200

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


@dataclass
class Run:
    """
    One training run. `arguments` go to the trainer's constructor as they are.

    The remaining fields choose a start and inputs that lead through every branch of a step:
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
        """x (steps, batch, d_in), float32 values, the same for both dtypes."""
        steps, d_in = self.arguments["steps"], self.arguments["activation_dim"]
        # Quiet batches lie around the first one, to whose median b_dec is set.
        return drifting_batches(self.seed, steps, self.batch, d_in, self.amplitude, self.quiet)

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
            decay_start=150,
            threshold_start_step=20,
            steps=STEPS,
        ),
        dead_feature_threshold=24,
        b_enc=-0.2,
        never_fire=(),
        faint=(1, 5, 7, 8, 10, 11),
        amplitude=lambda step: 1 + 0.6 * np.sin(step / 4),
        quiet={4: 0.08},
        without=("no-positive-acts",),
    ),
    Run(
        id="four-groups",
        comment="d_in 5, d_sae 13 in groups of 1, 2, 3, 7 (truncated fractions), unequal group weights",
        seed=6,
        batch=8,
        arguments=dict(
            activation_dim=5,
            dict_size=13,
            k=2,
            group_fractions=[0.1, 0.2, 0.3, 0.4],
            group_weights=[0.5, 1.0, 0.25, 2.0],
            lr=0.01,
            auxk_alpha=1 / 8,
            warmup_steps=8,
            decay_start=120,
            threshold_start_step=2,
            threshold_beta=0.9,
            steps=STEPS,
        ),
        dead_feature_threshold=24,
        b_enc=-0.3,
        never_fire=(),
        faint=(1, 2, 5, 8, 10, 11),
        amplitude=lambda step: 0.8 + 0.5 * np.sin(step / 4),
        quiet={4: 0.005, 5: 0.1},
    ),
    Run(
        id="one-dimension",
        comment="d_in 1, so k_aux = 0: dead latents make auxk the residual's mean square over its variance, without a "
        "gradient; decoder rows are 1 or -1 and projection removes nearly all of their gradient",
        seed=6,
        batch=6,
        arguments=dict(
            activation_dim=1,
            dict_size=10,
            k=1,
            group_fractions=[0.1, 0.2, 0.7],
            lr=0.01,
            warmup_steps=10,
            threshold_start_step=50,
            threshold_beta=0.99,
            steps=STEPS,
        ),
        dead_feature_threshold=60,
        b_enc=-0.05,
        never_fire=(8,),
        faint=(1, 4, 6),
        amplitude=lambda step: 1 + 0.8 * np.sin(step / 4),
        quiet={4: 0.001, 5: 0.02},
        without=("fewer-dead-than-k_aux", "as-many-dead-as-k_aux", "more-positive-dead-than-k_aux"),
    ),
]


def loss_terms(loss, calls, x, levels):
    """
    What `loss` computes and does not keep: x_hat (levels, batch, d_in), level_losses (levels), l2 and the loss itself.

    The calls it makes are, per level, (x - x_reconstruct).pow(2).sum(dim=-1).mean(). The encoder's x - b_dec and the
    residual are never squared.
    """
    x_hat, level_losses = [], []
    for call in calls.made:
        if call.name != "sub" or call.args[0] is not x:
            continue
        for square in calls.using("pow", call.result):
            (summed,) = calls.using("sum", square)
            level_losses.extend(calls.values("mean", summed))
            x_hat.append(array(call.args[1]))
    assert len(level_losses) == levels, "the loss is not built as expected"
    # The last operation is mean_l2_loss + auxk_alpha * auxk_loss.
    ((l2, _),) = [call.args for call in calls.made if call.result is loss]
    return {"x_hat": np.stack(x_hat), "level_losses": np.stack(level_losses), "l2": array(l2), "loss": array(loss)}


class Recorder:
    """
    Watches one trainer. Nothing of the trainer's is called a second time: another `loss` would advance the threshold
    and the tokens since fired.
    """

    def __init__(self, trainer):
        self.trainer = trainer
        self.step = {}  # what the current step has recorded so far
        self.log = StepLog(FLAGS)
        trainer.optimizer.register_step_pre_hook(self.saw_optimizer_step)

    def watching(self, code):
        trainer = self.trainer
        return all_replaced(
            [
                (trainer, "geometric_median", looking_after(self.saw_geometric_median)),
                (trainer, "loss", listing_calls(self.saw_loss)),
                (trainer.ae, "encode", looking_after(self.saw_encode)),
                (trainer, "get_auxiliary_loss", looking_after(self.saw_auxiliary_loss)),
                # The next two are looked up at each call, in the trainer's module and in torch.
                (code.matryoshka, "remove_gradient_parallel_to_decoder_directions", self.watch_projection),
                (torch.nn.utils, "clip_grad_norm_", looking_after(self.saw_clipping)),
            ]
        )

    def watch_projection(self, original):
        # It writes into the gradient it is given, so look before it runs.
        def watched(*args):
            for name in PARAMETERS:
                self.step[f"grad.{name}"] = array(getattr(self.trainer.ae, name).grad)
            return original(*args)

        return watched

    def saw_geometric_median(self, median, points):
        self.b_dec_init = array(median)

    def saw_encode(self, result, x, **options):
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

    def saw_loss(self, loss, calls, *args, **kwargs):
        self.step |= loss_terms(loss, calls, self.x, levels=len(self.trainer.group_sizes))

    def saw_clipping(self, norm, parameters, max_norm):
        self.step["grad_norm"] = array(norm)
        self.clip_norm = max_norm

    def saw_optimizer_step(self, optimizer, args, kwargs):
        self.step["lr"] = np.float64(optimizer.param_groups[0]["lr"])
        for parameter in PARAMETERS:
            self.step[f"clipped.{parameter}"] = array(getattr(self.trainer.ae, parameter).grad)

    def state(self):
        """The state between two steps."""
        ae = self.trainer.ae
        parameters = {name: getattr(ae, name) for name in PARAMETERS}
        state = {name: array(parameter) for name, parameter in parameters.items()}
        state |= adam_moments(self.trainer.optimizer, parameters)
        state["threshold"] = array(ae.threshold)
        state["tokens_since_fired"] = array(self.trainer.num_tokens_since_fired).astype(np.int32)
        return state

    def branches(self, t, before):
        """Which branches step t took."""
        dead, k_aux = int(self.step["dead"]), self.trainer.top_k_aux
        positives, selected = int(self.step["positives"]), self.trainer.k * len(self.x)
        averaging = t > self.trainer.threshold_start_step
        was_set = before["threshold"] >= 0
        return {
            "none-dead": dead == 0,
            "fewer-dead-than-k_aux": 0 < dead < k_aux,
            "as-many-dead-as-k_aux": 0 < dead == k_aux,
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

    def record(self, xs, code):
        self.log.saw_state(0, self.state())
        with self.watching(code):
            for t, x in enumerate(xs):
                self.step = {}
                self.trainer.update(t, x)
                self.log.saw_step(t, self.step, self.branches(t, self.log.states[t]))
                self.log.saw_state(t + 1, self.state())
        tensors = self.log.tensors()
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
    recorder.log.check_flags(run.id, dialect, run.without)
    return tensors, run_config(run, trainer, recorder), recorder.log.flags
