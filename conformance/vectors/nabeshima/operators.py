"""Single operators of the toy model's code, called one at a time."""

import numpy as np
import torch
from recording import array, error_of, listing_calls, looking_after, replaced
from starting_points import defaults, initialise
from training_runs import PARAMETERS

NOTEBOOK_SCALE = 0.2


def float32_values(dialect, values):
    return dialect.tensor(np.asarray(values, np.float32))


def small_sae(dialect, parameters, **arguments):
    sae = dialect.code.MatryoshkaSAE(d_model=5, n_latents=9, n_steps=10, **arguments)
    for name, values in parameters.items():
        getattr(sae, name).data.copy_(values)
    return sae


def drawn_parameters(dialect, rng):
    shapes = {"W_enc": (5, 9), "b_enc": (9,), "W_dec": (9, 5), "b_dec": (5,)}
    return {name: float32_values(dialect, rng.standard_normal(shape)) for name, shape in shapes.items()}


def prefixes(dialect, tensors):
    valid = {  # (n_latents, n_prefixes, min_prefix_length)
        "two": (12, 2, 1),
        "four": (12, 4, 1),
        "notebook": (20, 10, 1),
        "from-5": (20, 4, 5),
        "all": (6, 4, 3),
        "one": (12, 1, 1),
    }
    invalid = {"too-many": (6, 5, 3), "no-choice": (4, 2, 4)}
    facts = []
    for id, setting in (valid | invalid).items():
        facts.append({"id": id} | dict(zip(("n_latents", "n_prefixes", "min_prefix_length"), setting)))
        if id in invalid:
            with np.errstate(invalid="ignore"):
                facts[-1] |= error_of(dialect.code.sample_prefixes, *setting)
            continue
        probabilities = []
        saw_choice = looking_after(lambda *_, p, **__: probabilities.append(array(p)))
        np.random.seed(40)
        with replaced(np.random, "choice", saw_choice):
            samples = [array(dialect.code.sample_prefixes(*setting)) for _ in range(400)]
        tensors[f"prefixes.{id}.samples"] = np.stack(samples).astype(np.int32)
        if probabilities:
            tensors[f"prefixes.{id}.probability"] = probabilities[0]
        else:
            facts[-1]["comment"] = "always the whole width, without a draw"
    return facts


def learning_rates(dialect, tensors):
    constructor = {"n_warmup_steps": 100, "percent_cooldown": 0.2, "end_lr_factor": 0.1}
    cases = {  # n_steps and arguments, number of updates
        "constructor": ({"n_steps": 300} | constructor, 310),
        "warm-up-into-cool-down": ({"n_steps": 100} | constructor, 110),
        "defaults": ({"n_steps": 40}, 50),
        "long-after-the-end": ({"n_steps": 10} | constructor | {"n_warmup_steps": 2}, 40),
    }
    facts = []
    for id, (arguments, updates) in cases.items():
        optimizer = torch.optim.Adam([torch.nn.Parameter(torch.zeros(1))], lr=1.0)
        scheduler = dialect.code.get_wsd_scheduler(optimizer, **arguments)
        rates = []
        for _ in range(updates):
            rates.append(optimizer.param_groups[0]["lr"])
            optimizer.step()
            scheduler.step()
        tensors[f"learning_rates.{id}"] = np.array(rates, np.float64)
        facts.append({"id": id} | arguments)
    return facts


def controllers(dialect, tensors):
    l0 = [1, 3, 2, 1, 3, 2, 1, 1, 2.5, 2, 1.5]
    facts = []
    for id, warmup_steps in (("warm-up", 4), ("warm-up-of-one", 1)):
        controller = dialect.code.AdaptiveSparsityController(2, NOTEBOOK_SCALE, warmup_steps)
        scales, returned = [controller.sparsity_loss_scale], []
        for mean in l0:
            returned.append(controller(mean))
            scales.append(controller.sparsity_loss_scale)
        tensors[f"controller.{id}.l0"] = np.array(l0, np.float64)
        tensors[f"controller.{id}.scale"] = np.array(scales, np.float64)
        tensors[f"controller.{id}.sparsity_scale"] = np.array(returned, np.float64)
        facts.append({"id": id, "target_l0": 2, "warmup_steps": warmup_steps, "eps": controller.eps})
    none = error_of(dialect.code.AdaptiveSparsityController(2, NOTEBOOK_SCALE, 0), 1)
    facts.append({"id": "no-warm-up", "target_l0": 2, "warmup_steps": 0} | none)
    return facts


def normaliser(dialect, tensors):
    x = float32_values(dialect, np.random.default_rng(41).standard_normal((5, 4, 3)) + 0.5)
    x[2] = 0  # the average decays
    normalizer = dialect.code.RunningAvgNormalizer()
    averages, normalised, restored = [array(normalizer.running_avg)], [], []
    for batch in x:
        normalised.append(normalizer.normalize(batch, update=True))
        restored.append(array(normalizer.unnormalize(normalised[-1])))
        averages.append(array(normalizer.running_avg))
    tensors["normaliser.x"] = array(x)
    tensors["normaliser.running_avg"] = np.stack(averages)
    tensors["normaliser.normalised"] = np.stack([array(batch) for batch in normalised])
    tensors["normaliser.restored"] = np.stack(restored)
    zero = dialect.code.RunningAvgNormalizer().normalize(torch.zeros_like(x[0]), update=True)
    return {"alpha": normalizer.alpha, "first_batch_of_zeros_gives_nan": bool(zero.isnan().all())}


def get_acts(dialect, tensors):
    rng = np.random.default_rng(42)
    parameters = drawn_parameters(dialect, rng)
    sae = small_sae(dialect, parameters, n_prefixes=2, target_l0=2)
    sae.normalizer.running_avg.data.fill_(1.75)
    x = float32_values(dialect, rng.standard_normal((4, 5)))
    tensors |= {f"get_acts.{name}": array(values) for name, values in parameters.items()}
    tensors["get_acts.running_avg"], tensors["get_acts.x"] = array(sae.normalizer.running_avg), array(x)
    tensors["get_acts.acts"] = array(sae.get_acts(x))
    tensors["get_acts.acts_not_normalised"] = array(sae.get_acts(x, normalize=False))


def steps(dialect, tensors):
    """The gradients of one step each, of one small SAE with a decoder row of zeros."""
    rng = np.random.default_rng(43)
    parameters = drawn_parameters(dialect, rng)
    parameters["W_dec"][4] = 0
    x = float32_values(dialect, rng.standard_normal((6, 5)))
    running_avg = 2.0
    tensors |= {f"step.{name}": array(values) for name, values in parameters.items()}
    tensors["step.x"], tensors["step.running_avg"] = array(x), array(dialect.tensor([running_avg]))
    log = {"n_prefixes": 3, "sparsity_type": "log"}
    silent = {"b_enc": torch.full_like(parameters["b_enc"], -50)}
    cases = {
        "l1": ({"n_prefixes": 3}, {}, "l1 penalty"),
        "log": (log, {}, "log penalty"),
        "one-prefix": ({"n_prefixes": 1}, {}, "the notebook's vanilla, but for permute_latents"),
        "nothing-positive": (log, silent, "no positive latent: every reconstruction is b_dec"),
    }
    facts = []
    for id, (arguments, changed, comment) in cases.items():
        sae = small_sae(dialect, parameters | changed, target_l0=2, permute_latents=False, **arguments)
        sae.normalizer.running_avg.data.fill_(running_avg)

        def saw_step(result, calls, batch):
            sparsity, x_hat = calls.named("cumsum")
            (summed,) = calls.using("sum", *calls.using("pow", *calls.using("sub", x_hat)))
            tensors[f"step.{id}.level_losses"] = array(*calls.using("mean", summed))
            tensors[f"step.{id}.level_sparsity"] = array(sparsity)
            tensors[f"step.{id}.sparsity_scale"] = np.float64(result["sparsity_scale"])
            tensors[f"step.{id}.loss"] = array(result["loss"])

        def watch_clipping(original):
            def watched(*args, **kwargs):
                for name in PARAMETERS:
                    tensors[f"step.{id}.grad.{name}"] = array(getattr(sae, name).grad)
                return original(*args, **kwargs)

            return watched

        def saw_prefixes(drawn, *args):
            tensors[f"step.{id}.prefixes"] = array(drawn).astype(np.int32)

        np.random.seed(44)
        with (
            replaced(sae, "step", listing_calls(saw_step)),
            replaced(torch.nn.utils, "clip_grad_norm_", watch_clipping),
            replaced(dialect.code, "sample_prefixes", looking_after(saw_prefixes)),
        ):
            sae.step(x)
        facts.append(
            {"id": id, "comment": comment, "sparsity_type": sae.sparsity_type, "n_prefixes": sae.n_prefixes}
            | {"changed": {name: array(values).tolist() for name, values in changed.items()}}
        )
    with_metrics = error_of(small_sae(dialect, parameters, n_prefixes=2, target_l0=2).step, x, return_metrics=True)
    return {"cases": facts, "return_metrics": with_metrics}


def record_operators(dialect):
    tensors = {}
    with dialect.running():
        get_acts(dialect, tensors)
        config = {
            "kind": "operators",
            "prefixes": prefixes(dialect, tensors),
            "learning_rates": learning_rates(dialect, tensors),
            "controller": controllers(dialect, tensors),
            "normaliser": normaliser(dialect, tensors),
            "step": steps(dialect, tensors),
            "initialise": initialise(dialect, tensors),
            "defaults": defaults(dialect),
        }
    return tensors, config
