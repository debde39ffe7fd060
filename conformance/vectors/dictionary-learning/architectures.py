"""Short training runs of dictionary-learning's other trainers: what is trained on which inputs, and watching it."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from batches import drifting_batches
from recording import StepLog, adam_moments, all_replaced, array, listing_calls, looking_after

STEPS, BATCH, D_IN, D_SAE = 40, 8, 4, 10

FLAGS = {
    "sparsity-warmup": "sparsity_scale is below 1; at step 0 it is 0",
    "sparsity-constant": "sparsity_scale is 1",
    "act-in-window": "some pre-activation lies within half a bandwidth of its threshold",
    "zero-act-in-window": "some latent is 0 and within half a bandwidth of its threshold: it counts in the gradient of "
    "l0, which is taken of the latents and not of the pre-activations",
    "zero-selected": "some row has fewer than k positive acts: zeros are selected, and their latents count as fired",
}


EVERY = ("lr-zero", "clipped", "not-clipped")
SPARSITY = ("sparsity-warmup", "sparsity-constant")
WINDOW = ("act-in-window", "zero-act-in-window")
DEAD = ("none-dead", "fewer-dead-than-k_aux", "as-many-dead-as-k_aux", "more-dead-than-k_aux")
THRESHOLD = ("threshold-unset", "threshold-first-update", "threshold-average")


def linear_parameters(ae):
    """Of the classes made of nn.Linear, whose weights are [out, in]: name -> (parameter, is transposed)."""
    b_dec = ae.b_dec if hasattr(ae, "b_dec") else ae.bias
    return {
        "W_enc": (ae.encoder.weight, True),
        "b_enc": (ae.encoder.bias, False),
        "W_dec": (ae.decoder.weight, True),
        "b_dec": (b_dec, False),
    }


def jumprelu_parameters(ae):
    return {name: (getattr(ae, name), False) for name in ("W_enc", "b_enc", "W_dec", "b_dec", "threshold")}


@dataclass
class Run:
    """
    One training run. `arguments` go to the trainer's constructor as they are.

    module, trainer   where the trainer is
    parameters        of its SAE: name -> (parameter, is transposed)
    settings          attributes of the trainer that the configuration reports
    flags             the branches that the run leads through
    changes           weights -> None: changes the initial weights
    """

    id: str
    comment: str
    seed: int
    module: str
    trainer: str
    parameters: Callable
    arguments: dict
    settings: tuple
    flags: tuple
    changes: Callable

    def activations(self):
        """x (steps, batch, d_in), float32 values, the same for both dtypes."""
        return drifting_batches(self.seed, STEPS, BATCH, D_IN, lambda step: 1 + 0.6 * np.sin(step / 4), quiet={})

    def new_trainer(self, dialect):
        torch.manual_seed(self.seed)
        make = getattr(getattr(dialect.code, self.module), self.trainer)
        return make(
            steps=STEPS, activation_dim=D_IN, dict_size=D_SAE, layer=0, lm_name="none", seed=self.seed, device="cpu",
            **self.arguments,
        )  # fmt: skip

    def initial_weights(self, float64):
        """Float32 values, the same for both dtypes: the published initialisation, then the changes."""
        with float64.running():
            parameters = self.parameters(self.new_trainer(float64).ae)
        weights = {name: oriented(values, flip).float().clone() for name, (values, flip) in parameters.items()}
        self.changes(weights)
        return weights


def oriented(values, flip):
    """As the recordings have it: W_enc [d_in, d_sae], W_dec [d_sae, d_in]."""
    return values.detach().T if flip else values.detach()


def spread_thresholds(weights):
    """On both sides of half a bandwidth; from the default, 0.001, they would hardly move in so few steps."""
    weights["threshold"][:] = torch.linspace(0.05, 0.14, D_SAE)


def lower_some_biases(weights):
    """So that some rows have few positive acts, and some latents seldom fire."""
    weights["b_enc"][::2] = -0.9


def negative_biases(weights):
    weights["b_enc"][:] = torch.linspace(-0.3, 0.1, D_SAE)


RUNS = [
    Run(
        id="jumprelu",
        comment="JumpReluTrainer: d_in 4, d_sae 10, a bandwidth that holds many values; sparsity warm-up, lr warm-up, "
        "decay",
        seed=20,
        module="jumprelu",
        trainer="JumpReluTrainer",
        parameters=jumprelu_parameters,
        arguments=dict(
            lr=0.01, bandwidth=0.2, sparsity_penalty=0.5, target_l0=3.0, warmup_steps=5, sparsity_warmup_steps=10,
            decay_start=30,
        ),
        settings=("bandwidth", "target_l0", "sparsity_warmup_steps", "dead_feature_threshold"),
        flags=EVERY + SPARSITY + WINDOW,
        changes=spread_thresholds,
    ),
    Run(
        id="standard-april",
        comment="StandardTrainerAprilUpdate: d_in 4, d_sae 10; free decoder norms in the l1 penalty",
        seed=21,
        module="standard",
        trainer="StandardTrainerAprilUpdate",
        parameters=linear_parameters,
        arguments=dict(lr=0.01, l1_penalty=0.25, warmup_steps=5, sparsity_warmup_steps=10, decay_start=30),
        settings=("l1_penalty", "sparsity_warmup_steps"),
        flags=EVERY + SPARSITY,
        changes=negative_biases,
    ),
    Run(
        id="top-k",
        comment="TopKTrainer: d_in 4 (so k_aux = 2), d_sae 10, k 3 of each row",
        seed=22,
        module="top_k",
        trainer="TopKTrainer",
        parameters=linear_parameters,
        arguments=dict(
            k=3, lr=0.01, warmup_steps=5, decay_start=30, threshold_start_step=8, threshold_beta=0.9, auxk_alpha=1 / 8
        ),
        settings=("k", "auxk_alpha", "top_k_aux", "dead_feature_threshold", "threshold_start_step", "threshold_beta"),
        flags=EVERY + ("zero-selected",) + DEAD + THRESHOLD,
        changes=lower_some_biases,
    ),
]  # fmt: skip


class Recorder:
    """Watches one trainer; nothing of the trainer's is called a second time."""

    def __init__(self, run, trainer):
        self.run, self.trainer = run, trainer
        self.parameters = run.parameters(trainer.ae)
        self.step, self.once = {}, {}  # what the current step, and what the run has recorded so far
        self.log = StepLog(run.flags)
        trainer.optimizer.register_step_pre_hook(self.saw_optimizer_step)

    def watching(self, module):
        trainer = self.trainer
        watched = [
            (trainer, "loss", listing_calls(self.saw_loss)),
            (trainer.ae, "decode", looking_after(self.saw_decode)),
            (torch.nn.utils, "clip_grad_norm_", self.watch_clipping),
        ]
        if hasattr(module, "remove_gradient_parallel_to_decoder_directions"):
            watched.append((module, "remove_gradient_parallel_to_decoder_directions", self.watch_projection))
        if hasattr(trainer, "sparsity_warmup_fn"):
            watched.append((trainer, "sparsity_warmup_fn", looking_after(self.saw_sparsity_scale)))
        if hasattr(trainer, "get_auxiliary_loss"):
            watched.append((trainer.ae, "encode", looking_after(self.saw_encode)))
            watched.append((trainer, "get_auxiliary_loss", looking_after(self.saw_auxiliary_loss)))
        if hasattr(module, "geometric_median"):
            watched.append((module, "geometric_median", looking_after(self.saw_geometric_median)))
        return all_replaced(watched)

    def gradients(self, prefix):
        return {
            f"{prefix}.{name}": array(oriented(parameter.grad, flip))
            for name, (parameter, flip) in self.parameters.items()
        }

    # The next two write into the gradients they are given, so look before they run.
    def watch_projection(self, original):
        def watched(*args):
            self.step |= self.gradients("grad")
            return original(*args)

        return watched

    def watch_clipping(self, original):
        def watched(parameters, max_norm):
            if "grad.W_dec" not in self.step:  # no projection came before
                self.step |= self.gradients("grad")
            norm = original(parameters, max_norm)
            self.step["grad_norm"], self.clip_norm = array(norm), max_norm
            return norm

        return watched

    def saw_optimizer_step(self, optimizer, args, kwargs):
        self.step["lr"] = np.float64(optimizer.param_groups[0]["lr"])
        self.step |= self.gradients("clipped")

    def saw_geometric_median(self, median, points):
        self.once["b_dec_init"] = array(median)

    def saw_decode(self, x_hat, latents):
        self.step["latents"], self.step["x_hat"] = array(latents), array(x_hat)

    def saw_encode(self, result, x, **_):
        _, _, indices, acts = result
        self.step["indices"] = np.sort(array(indices), axis=1).astype(np.int32)
        self.step["positives"] = np.int32((acts > 0).sum())

    def saw_sparsity_scale(self, scale, step):
        self.step["sparsity_scale"] = np.float64(scale)

    def saw_auxiliary_loss(self, auxk, *_):
        self.step["auxk"] = array(auxk)
        self.step["dead"] = np.int32(self.trainer.dead_features)

    def saw_loss(self, loss, calls, x, step):
        seen = self.step
        # The last operation adds the two terms.
        ((l2, other),) = [call.args for call in calls.made if call.result is loss]
        seen |= {"x": array(x), "loss": array(loss), "l2": array(l2)}
        if "auxk" not in seen:
            seen["sparsity_loss"] = array(other)
        if self.run.id == "jumprelu":
            b_enc = self.trainer.ae.b_enc
            (hidden_pre,) = [call.result for call in calls.made if call.name == "add" and call.args[1] is b_enc]
            seen["hidden_pre"] = array(hidden_pre)
            _, seen["l0"] = [call.value for call in calls.made if call.name == "mean"]  # the first is of l2
        else:
            seen["l0"] = array((torch.as_tensor(seen["latents"]) > 0).to(x.dtype).sum(dim=-1).mean())

    def state(self):
        """The state between two steps."""
        trainer = self.trainer
        state = {name: array(oriented(parameter, flip)) for name, (parameter, flip) in self.parameters.items()}
        moments = adam_moments(trainer.optimizer, {name: parameter for name, (parameter, _) in self.parameters.items()})
        for name, values in moments.items():
            flip = self.parameters[name[2:]][1]
            state[name] = values.T.copy() if flip else values
        if hasattr(trainer, "num_tokens_since_fired"):
            state["tokens_since_fired"] = array(trainer.num_tokens_since_fired).astype(np.int32)
        if "threshold" not in state and hasattr(trainer.ae, "threshold"):
            state["threshold"] = array(trainer.ae.threshold)
        return state

    def branches(self, t, before):
        """Which branches step t took."""
        step = self.step
        taken = {
            "lr-zero": step["lr"] == 0,
            "clipped": step["grad_norm"] >= self.clip_norm,
            "not-clipped": step["grad_norm"] < self.clip_norm,
        }
        if "sparsity_scale" in step:
            taken["sparsity-warmup"] = step["sparsity_scale"] < 1
            taken["sparsity-constant"] = step["sparsity_scale"] == 1
        if "hidden_pre" in step:
            half = self.trainer.bandwidth / 2
            threshold, zero = before["threshold"], step["latents"] == 0
            taken["act-in-window"] = bool((np.abs(step["hidden_pre"] - threshold) < half).any())
            taken["zero-act-in-window"] = bool((zero & (np.abs(threshold) < half)).any())
        if "indices" in step:
            k_aux, dead = self.trainer.top_k_aux, int(step["dead"])
            averaging = t > self.trainer.threshold_start_step
            taken |= {
                "zero-selected": int((step["latents"] > 0).sum()) < step["indices"].size,
                "none-dead": dead == 0,
                "fewer-dead-than-k_aux": 0 < dead < k_aux,
                "as-many-dead-as-k_aux": dead == k_aux,
                "more-dead-than-k_aux": dead > k_aux,
                "threshold-unset": not averaging,
                "threshold-first-update": averaging and before["threshold"] < 0,
                "threshold-average": averaging and before["threshold"] >= 0,
            }
        return taken

    def record(self, xs, module):
        self.log.saw_state(0, self.state())
        with self.watching(module):
            for t, x in enumerate(xs):
                self.step = {}
                self.trainer.update(t, x)
                self.log.saw_step(t, self.step, self.branches(t, self.log.states[t]))
                self.log.saw_state(t + 1, self.state())
        return self.log.tensors() | self.once


def run_config(run, trainer, recorder):
    adam = trainer.optimizer.defaults
    config = {
        "kind": "architecture-run",
        "architecture": run.id,
        "d_in": D_IN,
        "d_sae": D_SAE,
        "batch": BATCH,
        "steps": trainer.steps,
        "lr": trainer.lr,
        "warmup_steps": trainer.warmup_steps,
        "decay_start": trainer.decay_start,
        "adam_betas": list(adam["betas"]),
        "adam_eps": adam["eps"],
        "clip_norm": recorder.clip_norm,
        "seed": run.seed,
    }
    names = {"top_k_aux": "k_aux"}  # as in the other runs
    config |= {names.get(name, name): getattr(trainer, name) for name in run.settings}
    if hasattr(trainer, "sparsity_coefficient"):
        config["sparsity_penalty"] = trainer.sparsity_coefficient
    return config


def record_run(run, dialect, weights):
    with dialect.running():
        trainer = run.new_trainer(dialect)
        for name, (parameter, flip) in run.parameters(trainer.ae).items():
            parameter.data.copy_(weights[name].T if flip else weights[name])
        trainer.dead_feature_threshold = 3 * BATCH  # the constructors set 10,000,000 tokens
        recorder = Recorder(run, trainer)
        xs = [dialect.tensor(x) for x in run.activations()]
        tensors = recorder.record(xs, getattr(dialect.code, run.module))
    recorder.log.check_flags(run.id, dialect)
    return tensors, run_config(run, trainer, recorder), recorder.log.flags
