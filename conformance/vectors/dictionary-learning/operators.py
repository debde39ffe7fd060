"""Single operators of dictionary-learning, called one at a time."""

import numpy as np
import torch
from recording import Calls, array, error_of
from starting_points import defaults, initialise
from step_cases import steps


SELECTIONS = {
    "distinct": "no ties among the positive acts",
    "tied-at-the-cut": "acts 0, 1 and 2: many equal the smallest chosen",
    "all-equal": "every act is 1",
    "fewer-positive-than-k": "two positive acts, eight selected",
    "none-positive": "nothing positive",
    "zero-rows": "two rows without a positive act: the others keep more than k",
}


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
        norms = len(calls.named("norm"))
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


def batch_top_k(dialect, tensors):
    rng = np.random.default_rng(14)
    drawn = np.maximum(rng.standard_normal((4, 6)), 0).astype(np.float32)
    few, zero_rows = np.zeros_like(drawn), drawn.copy()
    few[0, 3], few[2, 5] = 0.5, 0.25
    zero_rows[[0, 2]] = 0
    cases = [drawn, rng.integers(0, 3, (4, 6)), np.ones((4, 6)), few, np.zeros((4, 6)), zero_rows]
    facts = []
    for (id, comment), acts in zip(SELECTIONS.items(), cases, strict=True):
        ae = small_trainer(dialect, d_in=6, d_sae=6, k=2).ae
        ae.W_enc.data = torch.eye(6)  # so that the acts are the inputs
        latents, active, acts = ae.encode(dialect.tensor(acts), return_active=True, use_threshold=False)
        tensors[f"batch_top_k.{id}.acts"], tensors[f"batch_top_k.{id}.latents"] = array(acts), array(latents)
        facts.append({"id": id, "k": 2, "comment": comment, "fired": array(active).tolist()})
    return facts


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
            "batch_top_k": batch_top_k(dialect, tensors),
            "step": steps(dialect, tensors),
            "initialise": initialise(dialect, tensors),
            "defaults": defaults(dialect),
            "scale_biases": scale_biases(dialect, tensors),
        }
    return tensors, config
