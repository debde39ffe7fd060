"""Single operators of the published repository, called one at a time."""

import numpy as np
import torch
from recording import array, error_of, listing_calls, replaced
from starting_points import defaults, initialise
from training_runs import PARAMETERS, TRAINED, level_losses


def small_sae(dialect, group_sizes=(2, 2), d_in=3, k=1, **settings):
    config = dialect.code.config.get_default_cfg() | {
        "act_size": d_in,
        "dict_size": sum(group_sizes),
        "group_sizes": list(group_sizes),
        "top_k": k,
        "device": "cpu",
        "dtype": dialect.dtype,
        "input_unit_norm": False,
    }
    return dialect.code.sae.GlobalBatchTopKMatryoshkaSAE(config | settings)


def float32_values(dialect, values):
    return dialect.tensor(np.asarray(values, np.float32))


def quarters(rng, *shape):
    """Small multiples of 1/4, so that acts, and ties among them, are exact in any order of summation."""
    return rng.integers(-4, 5, shape) / 4


def batch_top_k(dialect, tensors):
    rng = np.random.default_rng(20)
    drawn = float32_values(dialect, np.maximum(rng.standard_normal((4, 6)), 0))
    tied = dialect.tensor(rng.integers(0, 3, (4, 6)))
    few = torch.zeros_like(drawn)
    few[0, 3], few[2, 5] = 0.5, 0.25
    zero_rows = drawn.clone()
    zero_rows[[0, 2]] = 0
    cases = {
        "distinct": (drawn, 2, "no ties among the positive acts"),
        "tied-at-the-cut": (tied, 2, "acts 0, 1 and 2: many equal the smallest chosen"),
        "all-equal": (torch.ones_like(drawn), 1, "every act is 1"),
        "fewer-positive-than-k": (few, 2, "two positive acts, eight selected"),
        "none-positive": (torch.zeros_like(drawn), 2, "nothing positive: the threshold is kept"),
        "zero-rows": (zero_rows, 2, "two rows without a positive act: the others keep more than k"),
        "all-selected": (drawn, 6, "k is d_sae"),
    }
    facts = []
    for id, (acts, k, comment) in cases.items():
        sae = small_sae(dialect, (2, 4), d_in=6, k=k)
        sae.W_enc.data = torch.eye(6)  # so that the acts are the inputs
        recorded, latents = sae.compute_activations(acts)
        tensors[f"batch_top_k.{id}.acts"], tensors[f"batch_top_k.{id}.latents"] = array(recorded), array(latents)
        facts.append({"id": id, "k": k, "comment": comment, "threshold_after": float(sae.threshold)})
    x = dialect.tensor(np.zeros((4, 3)))
    facts.append({"id": "k-above-d_sae", "k": 5} | error_of(small_sae(dialect, k=5).compute_activations, x))
    facts.append({"id": "fractional-k", "k": 1.5} | error_of(small_sae(dialect, k=1.5).compute_activations, x))
    return facts


def threshold_updates(dialect, tensors):
    rng = np.random.default_rng(21)
    drawn = np.maximum(rng.standard_normal((8, 3, 4)) - 0.5, 0).astype(np.float32)
    with_empty = drawn.copy()
    with_empty[[0, 3, 6]] = 0
    sequences = {
        "from-0": (drawn, "the first moves it by a hundredth of the smallest positive latent"),
        "empty-batches": (with_empty, "batches 0, 3 and 6 have no positive latent: the threshold is kept"),
        "constant": (np.full((8, 1, 1), 0.5, np.float32), "0.5 (1 - 0.99^t), up to rounding"),
    }
    facts = []
    for id, (batches, comment) in sequences.items():
        sae = small_sae(dialect)
        thresholds = [array(sae.threshold)]
        for batch in batches:
            sae.update_threshold(dialect.tensor(batch))
            thresholds.append(array(sae.threshold))
        tensors[f"update_threshold.{id}.latents"] = array(dialect.tensor(batches))
        tensors[f"update_threshold.{id}.threshold"] = np.stack(thresholds)
        facts.append({"id": id, "comment": comment})
    return facts


def inactive(dialect, tensors):
    batches = np.zeros((5, 2, 4))
    batches[0, 0, 0] = batches[2, 1, 0] = 1.0  # latent 0 fires in batches 0 and 2, latent 1 never
    batches[1, :, 2] = 1e-300 if dialect.dtype == torch.float64 else 1e-45  # subnormal and positive: fired
    batches[[1, 3], 0, 3] = np.nan
    sae = small_sae(dialect)
    counts = [array(sae.num_batches_not_active)]
    for batch in batches:
        sae.update_inactive_features(dialect.tensor(batch))
        counts.append(array(sae.num_batches_not_active))
    tensors["inactive.latents"] = array(dialect.tensor(batches))
    tensors["inactive.batches_since_fired"] = np.stack(counts).astype(np.int32)


def decoder_norm(dialect, tensors):
    rng = np.random.default_rng(22)
    W_dec = rng.standard_normal((6, 5))
    W_dec /= np.linalg.norm(W_dec, axis=1, keepdims=True)
    W_dec[1] = 0
    W_dec[2] *= 1e-4
    W_dec[3] *= 1e4
    grad = rng.standard_normal((6, 5))
    grad[4] = 3 * W_dec[4]  # entirely parallel: nothing but rounding stays
    sae = small_sae(dialect, (2, 4), d_in=5)
    sae.W_dec.data, sae.W_dec.grad = float32_values(dialect, W_dec), float32_values(dialect, grad)
    tensors["decoder_norm.W_dec"], tensors["decoder_norm.grad"] = array(sae.W_dec), array(sae.W_dec.grad)
    sae.make_decoder_weights_and_grad_unit_norm()
    tensors["decoder_norm.projected"], tensors["decoder_norm.unit"] = array(sae.W_dec.grad), array(sae.W_dec)


def standardise(dialect, tensors):
    x = np.random.default_rng(23).standard_normal((4, 5)) * [[1], [10], [0.001], [1]] + 3
    x[3] = 2.5
    x = float32_values(dialect, x)
    sae = small_sae(dialect, d_in=5, input_unit_norm=True)
    normalised, mean, std = sae.preprocess_input(x)
    tensors["standardise.x"], tensors["standardise.normalised"] = array(x), array(normalised)
    tensors["standardise.mean"], tensors["standardise.std"] = array(mean), array(std)
    tensors["standardise.restored"] = array(sae.postprocess_output(normalised, mean, std))
    return {"eps": 1e-5}


def encode(dialect, tensors):
    rng = np.random.default_rng(26)
    sae = small_sae(dialect, (2, 4), d_in=3, k=2)
    shapes = {"W_enc": (3, 6), "b_enc": (6,), "W_dec": (6, 3), "b_dec": (3,)}
    for name, shape in shapes.items():
        getattr(sae, name).data.copy_(dialect.tensor(quarters(rng, *shape)))
        tensors[f"encode.{name}"] = array(getattr(sae, name))
    # The multiples of 1/1024 make all acts different, so the top k of the batch is unique.
    x = dialect.tensor(quarters(rng, 5, 3) + rng.permutation(15).reshape(5, 3) / 1024)
    tensors["encode.x"] = array(x)
    sae.eval()
    positive = sae.encode(x)  # at the initial threshold, 0: all of them
    positive = positive[positive > 0].sort().values
    assert len(positive) == len(positive.unique()) >= 12, "choose another seed: acts tie, or too few are positive"
    thresholds = torch.stack([sae.threshold, positive[0], positive[len(positive) // 2], positive[-1]])
    latents = []
    for threshold in thresholds:
        sae.threshold = threshold
        latents.append(array(sae.encode(x)))
    tensors["encode.threshold"], tensors["encode.latents"] = array(thresholds), np.stack(latents)
    sae.train()
    sae.threshold = dialect.tensor(0.0)
    tensors["encode.batch_top_k"] = array(sae.encode(x))
    after = [array(sae.threshold)]
    sae.active_groups = 1
    with torch.no_grad():  # it writes into its result
        tensors["encode.batch_top_k_first_group"] = array(sae.encode(x))
    tensors["encode.threshold_after"] = np.stack([*after, array(sae.threshold)])
    return {"k": 2, "group_sizes": sae.group_sizes}


def steps(dialect, tensors):
    """One forward and backward pass each, of one small SAE in several settings."""
    rng = np.random.default_rng(41)
    d_in, group_sizes, k = 5, [2, 3, 4], 2
    shapes = {"W_enc": (d_in, 9), "b_enc": (9,), "W_dec": (9, d_in), "b_dec": (d_in,)}
    parameters = {name: float32_values(dialect, rng.standard_normal(shape)) for name, shape in shapes.items()}
    # Often positive, too small to be selected: so they stay dead, and the auxiliary loss has something to decode.
    parameters["W_enc"][:, [1, 3, 4, 6]] /= 16
    x = float32_values(dialect, rng.standard_normal((6, d_in)))
    silent = parameters["W_enc"].clone()
    silent[:, 7] = 0
    zero_row = parameters["W_dec"].clone()
    zero_row[2] = 0
    dead = [0, 20, 0, 19, 25, 0, 20, 0, 0]
    cases = {
        "alive": ({}, {}, [0] * 9, 3, "no dead latent"),
        "dead": ({}, {}, dead, 3, "four dead latents, of which latent 3 has only just reached n_batches_to_dead"),
        "k_aux-4": ({"top_k_aux": 4}, {}, dead, 3, "exactly top_k_aux dead latents"),
        "k_aux-1": ({"top_k_aux": 1}, {}, dead, 3, "each row decodes its largest dead latent"),
        "dead-and-zero": ({}, {"W_enc": silent}, [0] * 7 + [20, 0], 3, "the dead latent has zero acts: aux exactly 0"),
        "nothing-positive": ({}, {"W_enc": torch.zeros_like(silent)}, dead, 3, "every reconstruction is b_dec"),
        "l1": ({"l1_coeff": 0.125}, {}, [0] * 9, 3, "with the l1 penalty, which main.py leaves at 0"),
        "two-groups": ({}, {}, [0] * 9, 2, "active_groups 2: later latents are selected, not decoded"),
        "standardised": ({"input_unit_norm": True}, {}, dead, 3, "input_unit_norm"),
        "zero-decoder-row": ({}, {"W_dec": zero_row}, dead, 3, "finite: only normalising that row gives NaN"),
    }
    for name, values in parameters.items():
        tensors[f"step.{name}"] = array(values)
    tensors["step.x"] = array(x)
    facts = []
    for id, (settings, changed, counts, active_groups, comment) in cases.items():
        sae = small_sae(dialect, group_sizes, d_in, k, **settings)
        for name, values in (parameters | changed).items():
            getattr(sae, name).data.copy_(values)
        sae.num_batches_not_active = dialect.tensor(counts)
        sae.active_groups = active_groups
        losses = []

        def saw_losses(output, calls, *args):
            losses.append(level_losses(calls, sae.b_dec, args[-1]))

        with replaced(sae, "get_loss_dict", listing_calls(saw_losses)):
            output = sae(x)
        output["loss"].backward()
        tensors[f"step.{id}.batches_since_fired"] = np.array(counts, np.int32)
        tensors[f"step.{id}.latents"] = array(output["feature_acts"])
        tensors[f"step.{id}.level_losses"] = losses[0]
        for name in ("l2", "l1", "aux"):
            tensors[f"step.{id}.{name}"] = array(output[f"{name}_loss"])
        tensors[f"step.{id}.loss"] = array(output["loss"])
        for name in TRAINED:
            tensors[f"step.{id}.grad.{name}"] = array(getattr(sae, name).grad)
        assert sae.b_enc.grad is None
        facts.append(
            {"id": id, "comment": comment, "active_groups": active_groups, "k_aux": sae.config["top_k_aux"]}
            | {"dead": int((sae.num_batches_not_active >= sae.config["n_batches_to_dead"]).sum())}
            | {name: sae.config[name] for name in ("l1_coeff", "input_unit_norm")}
            | {"changed": {name: array(changed[name]).tolist() for name in PARAMETERS if name in changed}}
        )
    whole = small_sae(dialect, group_sizes, d_in, k)
    rank_3 = error_of(whole, x.reshape(2, 3, d_in))
    return {"group_sizes": group_sizes, "k": k, "aux_penalty": 1 / 32, "n_batches_to_dead": 20, "cases": facts} | {
        "x_of_rank_3": rank_3
    }


def jumprelu(dialect, tensors):
    # Column 0 lies around a threshold that is exact, exp(0) = 1; column 2 around exp(-1), but not where an error in the
    # last place would decide.
    bandwidth = 2.0**-10
    log_threshold = dialect.tensor([0.0, 0.0, -1.0])
    threshold = array(torch.exp(log_threshold))
    offsets = np.array([-1, -0.5, -0.4375, -0.125, 0, 0.125, 0.4375, 0.5, 1])[:, None] * bandwidth
    x = dialect.tensor(threshold + offsets)
    x[:, 2] = threshold[2] + 0.9 * dialect.tensor(offsets[:, 0]) + bandwidth / 32
    x[:, 1] = dialect.tensor([-1, 0, 0.5, 0.999, 1, 1.0001, 2, 3, 4])
    grad_output = float32_values(dialect, np.random.default_rng(26).standard_normal(x.shape))
    tensors["jumprelu.x"], tensors["jumprelu.log_threshold"] = array(x), array(log_threshold)
    tensors["jumprelu.grad_output"] = array(grad_output)
    for prefix, function in (("", dialect.code.sae.JumpReLUFunction), ("step_", dialect.code.sae.StepFunction)):
        inputs = x.clone().requires_grad_(), log_threshold.expand_as(x).clone().requires_grad_()
        y = function.apply(*inputs, bandwidth)
        y.backward(grad_output)
        tensors[f"jumprelu.{prefix}y"] = array(y.to(dialect.dtype))
        tensors[f"jumprelu.{prefix}grad_x"] = array(inputs[0].grad)
        tensors[f"jumprelu.{prefix}grad_log_threshold"] = array(inputs[1].grad)
    return {
        "bandwidth": bandwidth,
        "default_bandwidth": dialect.code.config.get_default_cfg()["bandwidth"],
        "comment": "rectangle open at both ends: column 0 has x at threshold - and + bandwidth / 2 exactly",
    }


def record_operators(dialect):
    tensors = {}
    with dialect.running():
        inactive(dialect, tensors)
        decoder_norm(dialect, tensors)
        config = {
            "kind": "operators",
            "batch_top_k": batch_top_k(dialect, tensors),
            "update_threshold": threshold_updates(dialect, tensors),
            "standardise": standardise(dialect, tensors),
            "encode": encode(dialect, tensors),
            "step": steps(dialect, tensors),
            "jumprelu": jumprelu(dialect, tensors),
            "initialise": initialise(dialect, tensors),
            "defaults": defaults(dialect),
        }
    return tensors, config
