"""Single operators of SAELens, called one at a time."""

import numpy as np
import torch
from recording import array, error_of
from run_recorder import exported, parameters_and_threshold
from starting_points import defaults, initialise
from training_runs import PARAMETERS


def float32_values(dialect, values):
    return dialect.tensor(np.asarray(values, np.float32))


def small_sae(dialect, widths=(2, 4), d_in=3, k=1, **settings):
    code = dialect.code.matryoshka_batchtopk_sae
    config = code.MatryoshkaBatchTopKTrainingSAEConfig(
        d_in=d_in, d_sae=settings.pop("d_sae", widths[-1] if widths else 4), matryoshka_widths=list(widths), k=k,
        dtype=dialect.name, **settings,
    )  # fmt: skip
    return code.MatryoshkaBatchTopKTrainingSAE(config)


def drawn_parameters(dialect, rng, d_in, d_sae):
    shapes = {"W_enc": (d_in, d_sae), "b_enc": (d_sae,), "W_dec": (d_sae, d_in), "b_dec": (d_in,)}
    return {name: float32_values(dialect, rng.standard_normal(shape)) for name, shape in shapes.items()}


def put(sae, parameters):
    for name, values in parameters.items():
        getattr(sae, name).data.copy_(values)


def batch_top_k(dialect, tensors):
    rng = np.random.default_rng(30)
    drawn = float32_values(dialect, rng.standard_normal((4, 6)))
    tied = dialect.tensor(rng.integers(-1, 3, (4, 6)))
    few = -torch.ones_like(drawn)
    few[0, 3], few[2, 5] = 0.5, 0.25
    zero_rows = drawn.clone()
    zero_rows[[0, 2]] = 0
    cases = {
        "distinct": (drawn, 1.5, "no ties among the positive scores"),
        "tied-at-the-cut": (tied, 2, "scores -1, 0, 1 and 2: many equal the smallest chosen"),
        "all-equal": (torch.ones_like(drawn), 1, "every score is 1"),
        "fewer-positive-than-k": (few, 2, "two positive scores, eight selected: negative ones never stay"),
        "none-positive": (-drawn.abs(), 2, "nothing positive"),
        "zero-rows": (zero_rows, 2, "two rows of zeros: the others keep more than k"),
        "all-selected": (drawn, 6, "k is d_sae"),
        "rank-3": (drawn.reshape(2, 2, 6), 1.5, "k times all leading dimensions"),
    }
    facts = []
    for id, (scores, k, comment) in cases.items():
        latents = dialect.code.batchtopk_sae.BatchTopK(k)(scores)
        tensors[f"batch_top_k.{id}.scores"], tensors[f"batch_top_k.{id}.latents"] = array(scores), array(latents)
        facts.append({"id": id, "k": k, "comment": comment})
    facts.append({"id": "k-above-d_sae", "k": 7} | error_of(dialect.code.batchtopk_sae.BatchTopK(7), drawn))
    return facts


def selected_counts(dialect):
    """int(k * rows): truncated, of the product in double precision."""
    facts = []
    for k, rows in [(0.19, 5), (0.2, 5), (0.5, 3), (1.12, 5), (1.12, 25), (0.29, 100), (0.57, 100), (0.07, 100)]:
        ones = torch.ones(rows, max(2, int(k) + 1))
        facts.append({"k": k, "rows": rows, "selected": int(dialect.code.batchtopk_sae.BatchTopK(k)(ones).sum())})
    return facts


def top_k(dialect, tensors):
    scores = np.random.default_rng(31).standard_normal((4, 6))
    scores[1] = -np.abs(scores[1])
    scores[2, 1:] = -np.abs(scores[2, 1:])
    scores = float32_values(dialect, scores)
    tensors["top_k.scores"] = array(scores)
    tensors["top_k.latents"] = array(dialect.code.topk_sae.TopK(2)(scores))
    return {"k": 2}


def threshold_updates(dialect, tensors):
    drawn = np.maximum(np.random.default_rng(32).standard_normal((8, 3, 4)) - 0.5, 0).astype(np.float32)
    with_empty = drawn.copy()
    with_empty[[0, 3, 6]] = 0
    sequences = {
        "from-0": (drawn, 0.01, "the first moves it by a hundredth of the smallest positive latent"),
        "empty-batches": (with_empty, 0.1, "batches 0, 3 and 6 have no positive latent: the threshold is kept"),
        "constant": (np.full((8, 1, 1), 0.5, np.float32), 0.01, "0.5 (1 - 0.99^t), up to rounding"),
    }
    facts = []
    for id, (batches, lr, comment) in sequences.items():
        sae = small_sae(dialect, topk_threshold_lr=lr)
        thresholds = [array(sae.topk_threshold)]
        for batch in batches:
            sae.update_topk_threshold(dialect.tensor(batch))
            thresholds.append(array(sae.topk_threshold))
        tensors[f"update_threshold.{id}.latents"] = array(dialect.tensor(batches))
        tensors[f"update_threshold.{id}.threshold"] = np.stack(thresholds)
        facts.append({"id": id, "topk_threshold_lr": lr, "comment": comment})
    return facts


def aux_acts(dialect, tensors):
    hidden_pre = np.random.default_rng(33).standard_normal((3, 6))
    hidden_pre[1] = -np.abs(hidden_pre[1])
    hidden_pre = float32_values(dialect, hidden_pre)
    dead = torch.tensor([True, False, True, True, False, True])
    acts = [dialect.code.topk_sae.calculate_topk_aux_acts(k_aux, hidden_pre, dead) for k_aux in range(1, 5)]
    tensors["aux_acts.hidden_pre"], tensors["aux_acts.dead"] = array(hidden_pre), array(dead).astype(np.int32)
    tensors["aux_acts.acts"] = np.stack([array(values) for values in acts])


def steps(dialect, tensors):
    """One forward and backward pass each, of one small SAE in several settings."""
    rng = np.random.default_rng(34)
    d_in, widths, k = 5, [2, 5, 9], 1.5
    parameters = drawn_parameters(dialect, rng, d_in, widths[-1])
    x = float32_values(dialect, rng.standard_normal((6, d_in)))
    zero_row = parameters["W_dec"].clone()
    zero_row[6] = 0
    none, some, exactly, many, last = [], [3], [3, 6], [0, 3, 4, 6, 8], [5, 6, 7, 8]
    silent = {"W_enc": torch.zeros_like(parameters["W_enc"]), "b_enc": -torch.ones_like(parameters["b_enc"])}
    raw, levels = {"rescale_acts_by_decoder_norm": False}, {"use_matryoshka_aux_loss": True}
    cases = {
        "alive": ({}, {}, none, "no dead latent"),
        "one-dead": ({}, {}, some, "one dead latent: the loss is scaled by 1 / k_aux"),
        "two-dead": ({}, {}, exactly, "exactly k_aux = 2 dead latents"),
        "many-dead": ({}, {}, many, "more than k_aux = 2"),
        "coefficient": ({"aux_loss_coefficient": 0.25}, {}, many, "aux_loss_coefficient"),
        "levels": (levels, {}, many, "an auxiliary loss per level: 1, 2 and 2 dead"),
        "levels-one": (levels, {}, last, "only the last level has dead latents, more than k_aux"),
        "raw": (raw, {}, many, "acts not rescaled by decoder norms"),
        "raw-levels": (raw | levels, {}, many, "acts not rescaled, an auxiliary loss per level"),
        "x-not-centred": ({"apply_b_dec_to_input": False}, {}, many, "apply_b_dec_to_input False"),
        "k-0": ({"k": 0.1}, {}, many, "int(0.6) = 0 selected: every reconstruction is b_dec"),
        "nothing-positive": ({}, silent, many, "every reconstruction is b_dec; the auxiliary loss decodes negatives"),
        "zero-decoder-row": ({}, {"W_dec": zero_row}, none, "1 / 0 times 0: NaN in every row of the last level"),
        "raw-zero-decoder-row": (raw, {"W_dec": zero_row}, many, "finite"),
    }
    for name, values in parameters.items():
        tensors[f"step.{name}"] = array(values)
    tensors["step.x"] = array(x)
    facts = []
    for id, (settings, changed, dead, comment) in cases.items():
        sae = small_sae(dialect, widths, d_in, **{"k": k} | settings)
        put(sae, parameters | changed)
        mask = torch.tensor([j in dead for j in range(widths[-1])])
        output = sae.training_forward_pass(
            dialect.code.sae.TrainStepInput(
                sae_in=x, coefficients={}, dead_neuron_mask=mask, n_training_steps=0, is_logging_step=False
            )
        )
        output.loss.backward()
        losses = [output.losses[f"inner_mse_loss_{width}"] for width in widths[:-1]] + [output.losses["mse_loss"]]
        tensors[f"step.{id}.dead"] = array(mask).astype(np.int32)
        tensors[f"step.{id}.latents"] = array(output.feature_acts)
        tensors[f"step.{id}.level_losses"] = np.stack([array(loss) for loss in losses])
        tensors[f"step.{id}.aux"] = array(output.losses["auxiliary_reconstruction_loss"])
        tensors[f"step.{id}.loss"] = array(output.loss)
        for name in PARAMETERS:
            tensors[f"step.{id}.grad.{name}"] = array(getattr(sae, name).grad)
        names = ("k", "apply_b_dec_to_input", "rescale_acts_by_decoder_norm", "use_matryoshka_aux_loss")
        facts.append(
            {"id": id, "comment": comment, "aux_loss_coefficient": sae.cfg.aux_loss_coefficient}
            | {name: getattr(sae.cfg, name) for name in names}
            | {"changed": {name: array(values).tolist() for name, values in changed.items()}}
        )
    one = small_sae(dialect, d_in=1)
    step_input = dialect.code.sae.TrainStepInput(x[:, :1], {}, torch.tensor([True] * 4), 0, False)
    no_k_aux = error_of(one.training_forward_pass, step_input)
    normalised = small_sae(dialect, d_in=d_in, normalize_activations="layer_norm")
    layer_norm = error_of(
        normalised.training_forward_pass, dialect.code.sae.TrainStepInput(x, {}, torch.tensor([False] * 4), 0, False)
    )
    return {"prefixes": widths, "k_aux": d_in // 2, "cases": facts} | {
        "d_in_1_with_dead_latents": no_k_aux,
        "layer_norm": layer_norm,
    }


def encode(dialect, tensors):
    # Small multiples of 1/4, so that pre-activations, and ties with the thresholds, are exact in any order of
    # summation.
    rng = np.random.default_rng(35)
    code = dialect.code.jumprelu_sae
    sae = code.JumpReLUSAE(code.JumpReLUSAEConfig(d_in=3, d_sae=6, dtype=dialect.name))
    quarters = {"W_enc": (3, 6), "b_enc": (6,), "W_dec": (6, 3), "b_dec": (3,)}
    put(sae, {name: dialect.tensor(rng.integers(-4, 5, shape) / 4) for name, shape in quarters.items()})
    x = dialect.tensor(rng.integers(-4, 5, (8, 3)) / 4)
    hidden_pre = (x - sae.b_dec) @ sae.W_enc + sae.b_enc
    # Each latent's threshold is one of its own pre-activations; a negative one still leaves the ReLU. The last is 0.
    sae.threshold.data = hidden_pre[torch.arange(6), torch.arange(6)].detach().clone()
    sae.threshold.data[5] = 0
    ties = int((hidden_pre == sae.threshold).sum())
    put_tensors = lambda prefix: tensors.update(parameters_and_threshold(prefix, sae.state_dict()))  # noqa: E731
    put_tensors("encode")
    tensors["encode.x"], tensors["encode.latents"] = array(x), array(sae.encode(x))
    sae.fold_W_dec_norm()
    put_tensors("encode.folded")
    tensors["encode.folded.latents"] = array(sae.encode(x))
    return {"pre_activations_at_the_threshold": ties}


def export_and_scale(dialect, tensors):
    parameters = drawn_parameters(dialect, np.random.default_rng(36), 3, 6)
    parameters["W_dec"][4] = 0
    scale = 2.75
    for id, rescale in (("rescaled", True), ("raw", False)):
        sae = small_sae(dialect, (2, 6), rescale_acts_by_decoder_norm=rescale)
        put(sae, parameters)
        sae.topk_threshold.fill_(0.3)
        if rescale:
            tensors |= parameters_and_threshold("export", sae.state_dict())
            tensors |= parameters_and_threshold("scale", sae.state_dict())
        tensors |= parameters_and_threshold(f"export.{id}", exported(sae)[0])
        sae.fold_activation_norm_scaling_factor(scale)
        tensors |= parameters_and_threshold(f"scale.{id}", sae.state_dict())
    not_rescaled = error_of(small_sae(dialect, rescale_acts_by_decoder_norm=False).fold_W_dec_norm)
    return {"scale": scale, "smallest_norm": 1e-8, "fold_W_dec_norm_of_raw": not_rescaled}


def scaling_factor(dialect, tensors):
    x = np.random.default_rng(37).standard_normal((3, 4, 5)).astype(np.float32) + 1
    tensors["scaling_factor.x"] = array(dialect.tensor(x))
    scaler = dialect.code.activation_scaler.ActivationScaler()
    scaler.estimate_scaling_factor(5, iter([dialect.tensor(batch) for batch in x]), len(x))
    return {"d_in": 5, "scaling_factor": scaler.scaling_factor}


def widths(dialect):
    facts = []
    for given in ([2, 4], [2, 3], [4], [3, 3, 4], [3, 2, 4], [0, 4], [2, 5], []):
        fact = {"matryoshka_widths": given, "d_sae": 4}
        try:
            fact["prefixes"] = small_sae(dialect, given, d_sae=4).cfg.matryoshka_widths
        except ValueError as error:
            fact |= {"error": type(error).__name__, "message": str(error)}
        facts.append(fact)
    return facts


def jumprelu(dialect, tensors):
    bandwidth = 2.0**-5
    threshold = dialect.tensor([1.0, 0.25, 0.0])
    offsets = np.array([-1, -0.5, -0.4375, -0.125, 0, 0.125, 0.4375, 0.5, 1])[:, None] * bandwidth
    x = dialect.tensor(array(threshold) + offsets)
    grad_output = float32_values(dialect, np.random.default_rng(38).standard_normal(x.shape))
    tensors["jumprelu.x"], tensors["jumprelu.threshold"] = array(x), array(threshold)
    tensors["jumprelu.grad_output"] = array(grad_output)
    code = dialect.code.jumprelu_sae
    for prefix, function in (("", code.JumpReLU), ("step_", code.Step)):
        for suffix, ste_to_input in (("", False), ("_ste", True)):
            inputs = x.clone().requires_grad_(), threshold.clone().requires_grad_()
            y = function.apply(*inputs, bandwidth, ste_to_input)
            y.backward(grad_output)
            if inputs[0].grad is not None:
                tensors[f"jumprelu.{prefix}grad_x{suffix}"] = array(inputs[0].grad)
        tensors[f"jumprelu.{prefix}y"] = array(y)
        tensors[f"jumprelu.{prefix}grad_threshold"] = array(inputs[1].grad)
    return {
        "bandwidth": bandwidth,
        "default_bandwidth": code.JumpReLUTrainingSAEConfig.jumprelu_bandwidth,
        "comment": "rectangle open at both ends: rows 1 and 7 are half a bandwidth from the threshold exactly",
    }


def learning_rates(dialect, tensors):
    constant, cosine, restarts = "constant", "cosineannealing", "cosineannealingwarmrestarts"
    valid = {  # (scheduler, steps, warm-up, decay, lr_end, cycles)
        "constant": (constant, 10, 0, 0, 0.1, 1),
        "warmup": (constant, 10, 4, 0, 0.1, 1),
        "warmup-of-one": (constant, 10, 1, 0, 0.1, 1),
        "decay": (constant, 10, 0, 3, 0.1, 1),
        "decay-of-one": (constant, 10, 0, 1, 0.1, 1),
        "warmup-and-decay": (constant, 20, 5, 7, 0.1, 1),
        "decay-right-after-warmup": (constant, 12, 5, 7, 0.1, 1),
        "cosine": (cosine, 10, 0, 0, 0.1, 1),
        "cosine-to-0": (cosine, 10, 0, 0, 0.0, 1),
        "cosine-warmup-and-decay": (cosine, 20, 5, 6, 0.1, 1),
        "restarts": (restarts, 12, 0, 0, 0.1, 3),
    }
    invalid = {"cosine-to-0-and-decay": (cosine, 20, 5, 6, 0.0, 1), "unknown": ("linear", 10, 0, 0, 0.1, 1)}
    facts = []
    for id, (name, steps, warm_up, decay, lr_end, cycles) in (valid | invalid).items():
        setting = {"scheduler_name": name, "training_steps": steps, "warm_up_steps": warm_up, "decay_steps": decay}
        setting |= {"lr": 0.5, "lr_end": lr_end, "num_cycles": cycles}
        facts.append({"id": id} | setting)
        optimizer = torch.optim.Adam([torch.nn.Parameter(torch.zeros(1))], lr=setting["lr"])
        if id in invalid:
            facts[-1] |= error_of(dialect.code.optim.get_lr_scheduler, optimizer=optimizer, **setting)
            continue
        scheduler = dialect.code.optim.get_lr_scheduler(optimizer=optimizer, **setting)
        rates = []
        for _ in range(steps + 3):
            rates.append(optimizer.param_groups[0]["lr"])
            optimizer.step()
            scheduler.step()
        tensors[f"learning_rates.{id}"] = np.array(rates, np.float64)
    return facts


def record_operators(dialect):
    tensors = {}
    with dialect.running():
        aux_acts(dialect, tensors)
        config = {
            "kind": "operators",
            "batch_top_k": batch_top_k(dialect, tensors),
            "selected_counts": selected_counts(dialect),
            "top_k": top_k(dialect, tensors),
            "update_threshold": threshold_updates(dialect, tensors),
            "step": steps(dialect, tensors),
            "encode": encode(dialect, tensors),
            "export_and_scale": export_and_scale(dialect, tensors),
            "scaling_factor": scaling_factor(dialect, tensors),
            "widths": widths(dialect),
            "jumprelu": jumprelu(dialect, tensors),
            "learning_rates": learning_rates(dialect, tensors),
            "initialise": initialise(dialect, tensors),
            "defaults": defaults(dialect),
        }
    return tensors, config
