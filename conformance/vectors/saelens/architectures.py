"""Short training runs of SAELens' other architectures: what is trained on which inputs, and watching its trainer."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from batches import drifting_batches
from recording import StepLog, adam_moments, all_replaced, array, looking_after

STEPS, BATCH, D_IN, D_SAE = 40, 8, 4, 10
PARAMETERS = ("W_enc", "b_enc", "W_dec", "b_dec")

FLAGS = {
    "coefficient-warmup": "coefficient is below its final value; at step 0 it is 0",
    "coefficient-constant": "coefficient has its final value",
    "act-in-window": "some pre-activation lies within half a bandwidth of its threshold",
    "threshold-clamped": "some threshold is negative before the step: it is made 0 before the forward pass",
    "pre-act-loss": "the pre-activation loss of dead latents is not 0",
    "fewer-positive-acts-than-k": "some row has fewer than k positive pre-activations: the rest of it stays 0",
}

EVERY = ("clipped", "not-clipped", "lr-warmup", "lr-constant", "lr-decay")
COEFFICIENT = ("coefficient-warmup", "coefficient-constant")
DEAD = ("none-dead", "fewer-dead-than-k_aux", "as-many-dead-as-k_aux", "more-dead-than-k_aux")


@dataclass
class Run:
    """
    One training run. `sae` goes to the configuration as it is.

    module, name   where the architecture is, and the name its classes begin with
    losses         names the code gives to its losses -> names of the recordings
    coefficient    name of the coefficient that is warmed up, if any
    flags          the branches that the run leads through
    b_enc          lowest and highest initial encoder bias
    """

    id: str
    comment: str
    seed: int
    module: str
    name: str
    sae: dict
    losses: dict
    coefficient: str | None
    flags: tuple
    b_enc: tuple = (-0.3, 0.1)
    amplitude: Callable = lambda step: 0.6 + 0.4 * np.sin(step / 4)

    def activations(self):
        """x (steps, batch, d_in), float32 values, the same for both dtypes."""
        return drifting_batches(self.seed, STEPS, BATCH, D_IN, self.amplitude, quiet={})

    def new_sae(self, dialect):
        code = getattr(dialect.code, self.module)
        config = getattr(code, f"{self.name}TrainingSAEConfig")
        return getattr(code, f"{self.name}TrainingSAE")(
            config(d_in=D_IN, d_sae=D_SAE, dtype=dialect.name, decoder_init_norm=0.5, **self.sae)
        )

    def new_trainer(self, dialect, sae, data):
        config = dialect.code.config.SAETrainerConfig(
            total_training_samples=STEPS * BATCH, train_batch_size_samples=BATCH, lr=0.01, lr_end=0.001,
            lr_warm_up_steps=5, lr_decay_steps=10, dead_feature_window=2,
        )  # fmt: skip
        return dialect.code.sae_trainer.SAETrainer(config, sae, data)

    def initial_weights(self, float64):
        """Float32 values, the same for both dtypes: the published initialisation, then other encoder biases."""
        torch.manual_seed(self.seed)
        with float64.running():
            sae = self.new_sae(float64)
        weights = {name: values.detach().float() for name, values in sae.named_parameters()}
        weights["b_enc"][:] = torch.linspace(*self.b_enc, D_SAE)
        return weights


JUMPRELU = dict(jumprelu_bandwidth=0.2, jumprelu_init_threshold=0.02, l0_warm_up_steps=10)

RUNS = [
    Run(
        id="jumprelu",
        comment="JumpReLUTrainingSAE: step loss, gradient of the step function to the threshold alone",
        seed=30,
        module="jumprelu_sae",
        name="JumpReLU",
        sae=JUMPRELU | dict(l0_coefficient=0.005),
        losses={"l0_loss": "sparsity_loss"},
        coefficient="l0",
        flags=EVERY + COEFFICIENT + ("act-in-window", "threshold-clamped"),
    ),
    Run(
        id="jumprelu-ste",
        comment="JumpReLUTrainingSAE: jumprelu_ste_to_input, tanh loss, pre-activation loss",
        seed=31,
        module="jumprelu_sae",
        name="JumpReLU",
        sae=JUMPRELU
        | dict(
            l0_coefficient=0.1,
            jumprelu_sparsity_loss_mode="tanh",
            jumprelu_ste_to_input=True,
            pre_act_loss_coefficient=0.1,
        ),
        losses={"l0_loss": "sparsity_loss", "pre_act_loss": "pre_act_loss"},
        coefficient="l0",
        flags=EVERY + COEFFICIENT + ("act-in-window", "pre-act-loss"),
    ),
    Run(
        id="jumprelu-quadratic",
        comment="JumpReLUTrainingSAE: jumprelu_ste_to_input, quadratic loss",
        seed=32,
        module="jumprelu_sae",
        name="JumpReLU",
        sae=JUMPRELU
        | dict(
            l0_coefficient=0.02, jumprelu_sparsity_loss_mode="quadratic", jumprelu_ste_to_input=True, target_l0=3.0
        ),
        losses={"l0_loss": "sparsity_loss"},
        coefficient="l0",
        flags=EVERY + COEFFICIENT + ("act-in-window",),
    ),
    Run(
        id="standard",
        comment="StandardTrainingSAE: l1 penalty of latents times decoder norms, with warm-up",
        seed=33,
        module="standard_sae",
        name="Standard",
        sae=dict(l1_coefficient=0.25, l1_warm_up_steps=10),
        losses={"l1_loss": "sparsity_loss"},
        coefficient="l1",
        flags=EVERY + COEFFICIENT,
    ),
    Run(
        id="top-k",
        comment="TopKTrainingSAE: k 3 of each row, pre-activations rescaled by decoder norms; k_aux = 2",
        seed=34,
        module="topk_sae",
        name="TopK",
        sae=dict(k=3, aux_loss_coefficient=0.5),
        losses={"auxiliary_reconstruction_loss": "aux"},
        coefficient=None,
        flags=EVERY + ("fewer-positive-acts-than-k",) + DEAD,
        b_enc=(-0.5, 0.1),
    ),
]


class Recorder:
    """Watches one trainer."""

    def __init__(self, run, trainer):
        self.run, self.trainer, self.sae = run, trainer, trainer.sae
        self.parameters = dict(trainer.sae.named_parameters())
        self.log = StepLog(run.flags)
        trainer.optimizer.register_step_pre_hook(self.saw_optimizer_step)

    def watching(self, code):
        watched = [
            (self.trainer, "step", self.watch_step),
            (self.sae, "training_forward_pass", self.watch_forward_pass),
            (torch.nn.utils, "clip_grad_norm_", self.watch_clipping),
        ]
        if self.run.id == "top-k":
            watched.append((code.topk_sae, "calculate_topk_aux_acts", looking_after(self.saw_aux_acts)))
        return all_replaced(watched)

    def watch_step(self, original):
        def watched(batch):
            t, before = self.trainer.n_training_steps, self.state()
            self.step = {"x": array(batch)}
            self.log.saw_state(t, before)
            output = original(batch)
            self.log.saw_step(t, self.step, self.branches(t, before))
            return output

        return watched

    def watch_forward_pass(self, original):
        def watched(step_input):
            step, coefficient = self.step, self.run.coefficient
            step["dead"] = np.int32(step_input.dead_neuron_mask.sum())
            if coefficient:
                step["coefficient"] = np.float64(step_input.coefficients[coefficient])
            if "aux" in self.run.losses.values():
                step["aux_latents"] = np.zeros((BATCH, D_SAE), array(step_input.sae_in).dtype)
            output = original(step_input=step_input)
            step["hidden_pre"], step["latents"] = array(output.hidden_pre), array(output.feature_acts)
            step["x_hat"], step["loss"] = array(output.sae_out), array(output.loss)
            step["l2"] = array(output.losses["mse_loss"])
            for name, recorded in self.run.losses.items():
                step[recorded] = array(output.losses[name])
            step["l0"] = array((output.feature_acts > 0).to(self.sae.dtype).sum(dim=-1).mean())
            return output

        return watched

    def saw_aux_acts(self, acts, **_):
        self.step["aux_latents"] = array(acts)

    def watch_clipping(self, original):
        # It writes into the gradients it is given, so look before it runs.
        def watched(parameters, max_norm):
            for name, parameter in self.parameters.items():
                self.step[f"grad.{name}"] = array(parameter.grad)
            norm = original(parameters, max_norm)
            self.step["grad_norm"], self.clip_norm = array(norm), max_norm
            return norm

        return watched

    def saw_optimizer_step(self, optimizer, args, kwargs):
        self.step["lr"] = np.float64(optimizer.param_groups[0]["lr"])
        for name, parameter in self.parameters.items():
            self.step[f"clipped.{name}"] = array(parameter.grad)

    def state(self):
        """The state between two steps."""
        state = {name: array(parameter) for name, parameter in self.parameters.items()}
        state |= adam_moments(self.trainer.optimizer, self.parameters)
        state["passes_since_fired"] = array(self.trainer.n_forward_passes_since_fired).astype(np.int32)
        return state

    def branches(self, t, before):
        """Which branches step t took, of those the run is there to show."""
        step, trainer = self.step, self.trainer.cfg
        decaying = t >= STEPS - trainer.lr_decay_steps
        taken = {
            "clipped": step["grad_norm"] >= self.clip_norm,
            "not-clipped": step["grad_norm"] < self.clip_norm,
            "lr-warmup": t < trainer.lr_warm_up_steps,
            "lr-constant": trainer.lr_warm_up_steps <= t and not decaying,
            "lr-decay": decaying,
        }
        if "coefficient" in step:
            final = self.trainer.coefficient_schedulers[self.run.coefficient].final_value
            taken["coefficient-warmup"] = step["coefficient"] < final
            taken["coefficient-constant"] = step["coefficient"] == final
        if "threshold" in before:
            half, threshold = self.sae.bandwidth / 2, np.maximum(before["threshold"], 0)
            taken["act-in-window"] = bool((np.abs(step["hidden_pre"] - threshold) < half).any())
            taken["threshold-clamped"] = bool((before["threshold"] < 0).any())
            taken["pre-act-loss"] = step.get("pre_act_loss", 0) != 0
        if "aux" in step:
            k_aux, dead = D_IN // 2, int(step["dead"])
            taken |= {
                "fewer-positive-acts-than-k": int((step["hidden_pre"] > 0).sum(axis=1).min()) < self.sae.cfg.k,
                "none-dead": dead == 0,
                "fewer-dead-than-k_aux": 0 < dead < k_aux,
                "as-many-dead-as-k_aux": dead == k_aux,
                "more-dead-than-k_aux": dead > k_aux,
            }
        return {name: taken[name] for name in self.run.flags}

    def record(self, code):
        with self.watching(code):
            self.trainer.fit()
        self.log.saw_state(STEPS, self.state())
        return self.log.tensors()


def run_config(run, recorder):
    sae, trainer, adam = recorder.sae.cfg, recorder.trainer.cfg, recorder.trainer.optimizer.defaults
    config = {
        "kind": "architecture-run",
        "architecture": run.id,
        "d_in": D_IN,
        "d_sae": D_SAE,
        "batch": BATCH,
        "steps": STEPS,
        "dead_feature_window": trainer.dead_feature_window,
        "lr": trainer.lr,
        "lr_scheduler_name": trainer.lr_scheduler_name,
        "lr_warm_up_steps": trainer.lr_warm_up_steps,
        "lr_decay_steps": trainer.lr_decay_steps,
        "lr_end": trainer.lr_end,
        "adam_betas": list(adam["betas"]),
        "adam_eps": adam["eps"],
        "clip_norm": recorder.clip_norm,
        "seed": run.seed,
    }
    # The architecture's own settings, those left at their defaults too.
    base = {"d_in", "d_sae", "dtype", "device", "metadata", "reshape_activations", "decoder_init_norm"}
    own = {name: value for name, value in vars(sae).items() if name not in base}
    return config | dict(sorted(own.items())) | ({"k_aux": D_IN // 2} if run.id == "top-k" else {})


def record_run(run, dialect, weights):
    with dialect.running() as code:
        sae = run.new_sae(dialect)
        for name, parameter in sae.named_parameters():
            parameter.data.copy_(weights[name])
        trainer = run.new_trainer(dialect, sae, iter(dialect.tensor(x) for x in run.activations()))
        recorder = Recorder(run, trainer)
        tensors = recorder.record(code)
    recorder.log.check_flags(run.id, dialect)
    return tensors, run_config(run, recorder), recorder.log.flags
