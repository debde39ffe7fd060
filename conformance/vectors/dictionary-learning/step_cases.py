"""One forward and backward pass each, of one small SAE of dictionary-learning in several settings."""

import numpy as np
from recording import array, listing_calls, looking_after, replaced
from training_runs import PARAMETERS, loss_terms

D_IN, GROUPS, K = 6, [2, 3, 4], 1
SHAPES = {"W_enc": (D_IN, 9), "b_enc": (9,), "W_dec": (9, D_IN), "b_dec": (D_IN,)}
DEAD = {0: [], 2: [3, 7], 3: [1, 3, 7], 5: [1, 3, 4, 7, 8]}  # by their number; k_aux is 3
NEVER = 10_000_000  # tokens since they fired: the default limit


def cases(x, parameters):
    """(id, comment, dead, changed parameters, x, trainer's arguments, active groups)"""
    zero_row, silent = parameters["W_dec"].copy(), np.zeros_like(parameters["W_enc"])
    zero_row[7] = 0
    below = np.full_like(parameters["b_enc"], -1)
    at_b_dec = np.repeat(parameters["b_dec"][None], 4, axis=0)
    unequal = {"group_weights": [0.5, 2.0, 0.25]}
    return [
        ("none-dead", "no dead latent: auxk is 0", 0, {}, x, {}, 3),
        ("fewer-dead-than-k_aux", "two dead latents, k_aux = 3", 2, {}, x, {}, 3),
        ("as-many-dead-as-k_aux", "three dead latents", 3, {}, x, {}, 3),
        ("more-dead-than-k_aux", "each row decodes its own three of five dead latents", 5, {}, x, {}, 3),
        ("group-weights", "unequal weights: their sum is not 1", 5, {}, x, unequal, 3),
        ("two-groups", "active_groups 2: the mean is over two levels; later latents are selected, then zeroed", 5, {},
         x, unequal, 2),
        ("zero-decoder-row", "row 7 is 0, of a dead latent: finite", 5, {"W_dec": zero_row}, x, {}, 3),
        ("nothing-positive", "nothing is selected: every reconstruction is b_dec", 5,
         {"W_enc": silent, "b_enc": below}, x, {}, 3),
        ("one-row", "one row: the normaliser is 0, auxk the largest finite number, gradients NaN", 5, {}, x[:1], {}, 3),
        ("identical-rows", "four equal rows: the normaliser is 0 but for rounding", 5, {},
         np.repeat(x[:1], 4, axis=0), {}, 3),
        ("zero-residual", "x is b_dec: auxk is 0 / 0, made 0", 5, {"W_enc": silent, "b_enc": below}, at_b_dec, {}, 3),
    ]  # fmt: skip


def steps(dialect, tensors):
    rng = np.random.default_rng(15)
    parameters = {name: rng.standard_normal(shape).astype(np.float32) for name, shape in SHAPES.items()}
    # Often positive, too small to be selected: so they stay dead, and the auxiliary loss has something to decode.
    parameters["W_enc"][:, DEAD[5]] /= 16
    parameters["b_enc"][DEAD[5]] = 0.125
    x = rng.standard_normal((6, D_IN)).astype(np.float32)
    for name, values in parameters.items():
        tensors[f"step.{name}"] = array(dialect.tensor(values))
    facts = []
    for id, comment, dead, changed, rows, arguments, active_groups in cases(x, parameters):
        trainer = small_trainer(dialect, parameters | changed, active_groups, arguments)
        trainer.num_tokens_since_fired[DEAD[dead]] = NEVER
        tensors[f"step.{id}.tokens_since_fired"] = array(trainer.num_tokens_since_fired).astype(np.int32)
        seen = one_step(trainer, dialect.tensor(rows), active_groups)
        tensors |= {f"step.{id}.{name}": values for name, values in seen.items()}
        assert trainer.dead_features == dead
        weights = trainer.group_weights[:active_groups]
        facts.append(
            {
                "id": id,
                "comment": comment,
                "active_groups": active_groups,
                "group_weights": trainer.group_weights,
                "level_weights": [weight / len(weights) for weight in weights],
                "dead": trainer.dead_features,
                "changed": {name: values.tolist() for name, values in changed.items()},
            }
        )
    return {
        "group_sizes": GROUPS,
        "k": K,
        "k_aux": trainer.top_k_aux,
        "auxk_alpha": trainer.auxk_alpha,
        "dead_feature_threshold": trainer.dead_feature_threshold,
        "cases": facts,
    }


def small_trainer(dialect, parameters, active_groups, arguments):
    trainer = dialect.code.matryoshka.MatryoshkaBatchTopKTrainer(
        steps=10, activation_dim=D_IN, dict_size=sum(GROUPS), k=K, layer=0, lm_name="none", warmup_steps=0,
        group_fractions=[size / sum(GROUPS) for size in GROUPS], seed=0, device="cpu", **arguments,
    )  # fmt: skip
    assert trainer.group_sizes == GROUPS
    trainer.ae.active_groups = active_groups
    for name, values in parameters.items():
        getattr(trainer.ae, name).data.copy_(dialect.tensor(values))
    return trainer


def one_step(trainer, x, active_groups):
    """Tensors of one loss and its gradients."""
    seen = {"x": array(x)}

    def saw_encode(result, *_, **__):
        seen["latents"] = array(result[0])

    def saw_auxiliary_loss(auxk, *_):
        seen["auxk"] = array(auxk)

    def saw_loss(loss, calls, *_, **__):
        seen.update(loss_terms(loss, calls, x, active_groups))

    with (
        replaced(trainer.ae, "encode", looking_after(saw_encode)),
        replaced(trainer, "get_auxiliary_loss", looking_after(saw_auxiliary_loss)),
        replaced(trainer, "loss", listing_calls(saw_loss)),
    ):
        trainer.loss(x, step=0).backward()
    seen["tokens_since_fired_after"] = array(trainer.num_tokens_since_fired).astype(np.int32)
    for name in PARAMETERS:
        seen[f"grad.{name}"] = array(getattr(trainer.ae, name).grad)
    return seen
