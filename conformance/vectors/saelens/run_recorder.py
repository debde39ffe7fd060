"""Watching SAELens' trainer on one run."""

import json
import tempfile
from pathlib import Path

import numpy as np
import torch
from recording import StepLog, adam_moments, all_replaced, array, listing_calls, looking_after
from safetensors.torch import load_file
from training_runs import NORM_BATCHES, PARAMETERS, STEPS


FLAGS = {
    "none-dead": "no latent is dead: the auxiliary loss is 0",
    "fewer-dead-than-k_aux": "dead latents (of some level, if use_matryoshka_aux_loss), but fewer than k_aux: all of "
    "them are decoded, and the loss is scaled by their number over k_aux",
    "as-many-dead-as-k_aux": "exactly k_aux dead latents (of some level)",
    "more-dead-than-k_aux": "each row decodes its own k_aux of the dead latents (of some level)",
    "level-without-dead": "some level has dead latents and some has none",
    "negative-aux-latents": "some chosen value is negative: it is decoded and has a gradient all the same",
    "positive-aux-latents": "some chosen value is positive",
    "latent-at-window": "some latent's count is exactly dead_feature_window: not dead yet (>)",
    "fewer-positive-acts-than-k-batch": "the rest of the selection falls on zeros, which no recorded value shows",
    "no-positive-acts": "nothing is selected: every reconstruction is b_dec",
    "threshold-kept": "no positive latent: the threshold stays as it was",
    "threshold-first-update": "from 0, without bias correction: topk_threshold_lr times the smallest positive latent",
    "threshold-average": "the threshold moves by the moving average",
    "clipped": "the gradient norm is at least 1",
    "not-clipped": "the gradient norm is below 1: the factor is min(1, 1 / (norm + 1e-6))",
    "lr-warmup": "update t < w has lr (t + 1) / w",
    "lr-constant": "between warm-up and decay, scheduler constant",
    "lr-cosine": "between warm-up and decay, scheduler cosineannealing",
    "lr-decay": "one of the last lr_decay_steps updates",
}


class Recorder:
    """Watches one trainer, and hands it the batches."""

    def __init__(self, trainer, xs):
        self.trainer = trainer
        self.sae = trainer.sae
        self.xs = xs
        self.log = StepLog(FLAGS)
        trainer.optimizer.register_step_pre_hook(self.saw_optimizer_step)

    def watching(self, code):
        return all_replaced(
            [
                (self.trainer, "step", self.watch_step),
                (self.sae, "training_forward_pass", self.watch_forward_pass),
                (self.sae, "calculate_aux_loss", listing_calls(self.saw_auxiliary_loss)),
                (self.sae, "_iterable_decode", self.watch_decode),
                # Looked up at each call, in the module that calls them.
                (code.topk_sae, "calculate_topk_aux_acts", looking_after(self.saw_aux_acts)),
                (code.matryoshka_batchtopk_sae, "calculate_topk_aux_acts", looking_after(self.saw_aux_acts)),
                (torch.nn.utils, "clip_grad_norm_", self.watch_clipping),
            ]
        )

    def watch_step(self, original):
        def watched(batch):
            t = self.trainer.n_training_steps
            before = self.state()
            self.step = {"x": array(batch)}
            self.log.saw_state(t, before)
            output = original(batch)
            self.log.saw_step(t, self.step, self.branches(t, before))
            if t == STEPS - 1:
                self.log.saw_state(STEPS, self.state())  # after it, fit folds the scaling factor
            return output

        return watched

    def watch_forward_pass(self, original):
        def watched(step_input):
            self.dead = step_input.dead_neuron_mask
            self.aux_acts, self.reconstructs = [], []
            output = original(step_input=step_input)
            self.saw_output(output)
            return output

        return watched

    def watch_decode(self, original):
        def watched(feature_acts, include_outer_loss):
            for width, reconstruct in original(feature_acts, include_outer_loss=include_outer_loss):
                if not include_outer_loss:  # with it, the auxiliary loss of each level asks
                    self.reconstructs.append(reconstruct)
                yield width, reconstruct

        return watched

    def watch_clipping(self, original):
        # It writes into the gradients it is given, so look before it runs.
        def watched(parameters, max_norm):
            for name in PARAMETERS:
                self.step[f"grad.{name}"] = array(getattr(self.sae, name).grad)
            norm = original(parameters, max_norm)
            self.step["grad_norm"] = array(norm)
            self.clip_norm = max_norm
            return norm

        return watched

    def saw_aux_acts(self, acts, hidden_pre, dead_neuron_mask, **_):
        self.aux_acts.append((dead_neuron_mask, acts))

    def saw_auxiliary_loss(self, losses, calls, **_):
        self.step["aux"] = array(losses["auxiliary_reconstruction_loss"])
        if self.sae.cfg.use_matryoshka_aux_loss:
            levels = np.zeros(len(self.sae.cfg.matryoshka_widths), self.step["aux"].dtype)
            for stacked in calls.named("stack"):
                levels[[count > 0 for count in self.dead_per_level()]] = array(stacked)
            self.step["aux_levels"] = levels

    def saw_output(self, output):
        step, losses = self.step, output.losses
        widths = self.sae.cfg.matryoshka_widths
        step["loss"] = array(output.loss)
        step["sae_in"] = array(output.sae_in)
        step["hidden_pre"] = array(output.hidden_pre)
        step["latents"] = array(output.feature_acts)
        step["positives"] = np.int32((output.hidden_pre > 0).sum())
        step["x_hat"] = np.stack([array(x_hat) for x_hat in [*self.reconstructs, output.sae_out]])
        levels = [losses[f"inner_mse_loss_{width}"] for width in widths[:-1]] + [losses["mse_loss"]]
        step["level_losses"] = np.stack([array(loss) for loss in levels])
        step["aux_latents"] = self.aux_latents(output.hidden_pre)
        step["dead"] = np.int32(self.dead.sum())

    def aux_latents(self, hidden_pre):
        """What the auxiliary loss decodes, (batch, d_sae)."""
        latents = np.zeros_like(array(hidden_pre))
        if self.sae.cfg.use_matryoshka_aux_loss:
            # One call per level with dead latents, in their order.
            ends = self.sae.cfg.matryoshka_widths
            groups = [slice(first, last) for first, last in zip([0, *ends[:-1]], ends)]
            groups = [group for group in groups if self.dead[group].any()]
        else:
            groups = [slice(None)] * len(self.aux_acts)
        for group, (mask, acts) in zip(groups, self.aux_acts, strict=True):
            assert torch.equal(mask, self.dead[group])
            latents[:, group] = array(acts)
        return latents

    def dead_per_level(self):
        ends = self.sae.cfg.matryoshka_widths
        return [int(self.dead[first:last].sum()) for first, last in zip([0, *ends[:-1]], ends)]

    def saw_optimizer_step(self, optimizer, args, kwargs):
        self.step["lr"] = np.float64(optimizer.param_groups[0]["lr"])
        for name in PARAMETERS:
            self.step[f"clipped.{name}"] = array(getattr(self.sae, name).grad)

    def state(self):
        """The state between two steps."""
        parameters = {name: getattr(self.sae, name) for name in PARAMETERS}
        state = {name: array(parameter) for name, parameter in parameters.items()}
        state |= adam_moments(self.trainer.optimizer, parameters)
        state["threshold"] = array(self.sae.topk_threshold)
        state["passes_since_fired"] = array(self.trainer.n_forward_passes_since_fired).astype(np.int32)
        return state

    def branches(self, t, before):
        """Which branches step t took."""
        step, sae, trainer = self.step, self.sae.cfg, self.trainer.cfg
        k_aux, positives = sae.d_in // 2, int(step["positives"])
        dead = self.dead_per_level() if sae.use_matryoshka_aux_loss else [int(self.dead.sum())]
        decaying = t >= STEPS - trainer.lr_decay_steps
        between = t >= trainer.lr_warm_up_steps and not decaying
        return {
            "none-dead": sum(dead) == 0,
            "fewer-dead-than-k_aux": any(0 < count < k_aux for count in dead),
            "as-many-dead-as-k_aux": k_aux in dead,
            "more-dead-than-k_aux": max(dead) > k_aux,
            "level-without-dead": max(dead) > 0 and min(dead) == 0,
            "negative-aux-latents": step["aux_latents"].min() < 0,
            "positive-aux-latents": step["aux_latents"].max() > 0,
            "latent-at-window": trainer.dead_feature_window in before["passes_since_fired"],
            "fewer-positive-acts-than-k-batch": positives < int(sae.k * trainer.train_batch_size_samples),
            "no-positive-acts": positives == 0,
            "threshold-kept": positives == 0,
            "threshold-first-update": positives > 0 and before["threshold"] == 0,
            "threshold-average": positives > 0 and before["threshold"] > 0,
            "clipped": step["grad_norm"] >= self.clip_norm,
            "not-clipped": step["grad_norm"] < self.clip_norm,
            "lr-warmup": t < trainer.lr_warm_up_steps,
            "lr-constant": between and trainer.lr_scheduler_name == "constant",
            "lr-cosine": between and trainer.lr_scheduler_name == "cosineannealing",
            "lr-decay": decaying,
        }

    def record(self, code):
        with self.watching(code):
            self.trainer.fit()
        return self.log.tensors()


def parameters_and_threshold(prefix, state_dict):
    names = {"topk_threshold": "threshold"}
    return {f"{prefix}.{names.get(name, name)}": array(values) for name, values in state_dict.items()}


def exported(sae):
    """What save_inference_model writes: tensors, and cfg.json with its keys sorted, for their order varies."""
    with tempfile.TemporaryDirectory() as folder:
        weights, config = sae.save_inference_model(folder)
        return load_file(weights), dict(sorted(json.loads(Path(config).read_text()).items()))


def run_config(run, recorder, scaling_factor):
    sae, trainer, adam = recorder.sae.cfg, recorder.trainer.cfg, recorder.trainer.optimizer.defaults
    widths = sae.matryoshka_widths
    return {
        "kind": "run",
        "d_in": sae.d_in,
        "d_sae": sae.d_sae,
        "batch": run.batch,
        "k": sae.k,
        "selected": int(sae.k * run.batch),
        "prefixes": widths,
        # Factor of each level's sum over d_in and mean over rows in the total.
        "level_weights": [1] * len(widths),
        "rescale_acts_by_decoder_norm": sae.rescale_acts_by_decoder_norm,
        "use_matryoshka_aux_loss": sae.use_matryoshka_aux_loss,
        "aux_loss_coefficient": sae.aux_loss_coefficient,
        "k_aux": sae.d_in // 2,
        "dead_feature_window": trainer.dead_feature_window,
        "topk_threshold_lr": sae.topk_threshold_lr,
        "scaling_factor": scaling_factor,
        "steps": STEPS,
        "recorded_steps": recorder.log.recorded_steps,
        "recorded_states": recorder.log.recorded_states,
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


def record_run(run, dialect, weights):
    with dialect.running() as code:
        sae = run.new_sae(dialect)
        for name, weight in weights.items():
            getattr(sae, name).data.copy_(weight)
        xs = [dialect.tensor(x) for x in run.activations()]
        scaled = sae.cfg.normalize_activations != "none"
        trainer = run.new_trainer(dialect, sae, iter((xs[:NORM_BATCHES] if scaled else []) + xs))
        recorder = Recorder(trainer, xs)
        factors = []
        estimated = (
            trainer.activation_scaler,
            "estimate_scaling_factor",
            looking_after(lambda *_, **__: factors.append(trainer.activation_scaler.scaling_factor)),
        )
        with all_replaced([estimated]):
            tensors = recorder.record(code)
        tensors |= parameters_and_threshold("folded", sae.state_dict())
        state, config = exported(sae)
        tensors |= parameters_and_threshold("exported", state)
        inference = code.jumprelu_sae.JumpReLUSAE(
            code.jumprelu_sae.JumpReLUSAEConfig(d_in=sae.cfg.d_in, d_sae=sae.cfg.d_sae, dtype=dialect.name)
        )
        inference.load_state_dict(state)
        tensors["exported.latents"] = array(inference.encode(xs[-1]))
        tensors["exported.x_hat"] = array(inference(xs[-1]))
    recorder.log.check_flags(run.id, dialect, run.without)
    config = run_config(run, recorder, *factors or [1.0]) | {"exported": config}
    return tensors, config, recorder.log.flags
