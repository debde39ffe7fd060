"""
Every operator in plain numpy, float32: `matryoshka conformance --kernel "python3 numpy_kernels.py"`.

Written to be read beside docs/semantics.md, not to be fast. Sums of squares are taken in float32 like everything else, so
the bounds that hold here are float32's.
"""

import os
import sys

import numpy as np

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "python"))
from matryoshka_kernels import kernel, serve  # noqa: E402

f32 = np.float32


def require_finite(*arrays):
    for array in arrays:
        if not np.isfinite(array).all():
            raise ValueError("expected finite values")


def norms(rows):
    return np.sqrt((rows * rows).sum(axis=1, dtype=f32))


@kernel("geometric-median")
def geometric_median(x):
    require_finite(x)
    median = x.mean(axis=0, dtype=f32)
    for _ in range(100):
        distances = norms(x - median)
        if (distances == 0).any():
            raise ValueError("a row equals the iterate: its weight is infinite")
        weights = 1 / distances
        before, median = median, (weights[:, None] * x).sum(axis=0, dtype=f32) / weights.sum(dtype=f32)
        if norms((median - before)[None])[0] < 1e-5:
            break
    return median


@kernel("encode")
def encode(x, W_enc, b_enc, b_dec):
    require_finite(x, W_enc, b_enc, b_dec)
    return np.maximum((x - b_dec) @ W_enc + b_enc, 0)


def keep_largest(values, count):
    """The `count` largest positive ones of a flat array; the lower index first among equals."""
    require_finite(values)
    kept = np.zeros_like(values)
    chosen = np.argsort(-values, kind="stable")[:count]
    kept[chosen] = np.maximum(values[chosen], 0)
    return kept


@kernel("batch-topk")
def batch_topk(acts, k):
    rows = acts.size // acts.shape[-1]
    count = int(k * rows)
    if k < 0 or count > acts.size:
        raise ValueError(f"k: expected 0 <= k <= {acts.shape[-1]}, got {k}")
    return keep_largest(acts.reshape(-1), count).reshape(acts.shape)


@kernel("topk")
def topk(acts, k):
    if k != int(k) or not 0 <= k <= acts.shape[-1]:
        raise ValueError(f"k: expected a whole number from 0 to {acts.shape[-1]}, got {k}")
    rows = acts.reshape(-1, acts.shape[-1])
    return np.stack([keep_largest(row, int(k)) for row in rows]).reshape(acts.shape)


@kernel("above-threshold")
def above_threshold(acts, threshold):
    require_finite(acts)
    if np.isnan(threshold):
        raise ValueError("threshold: expected a number, got NaN")
    return np.where(acts > threshold, acts, f32(0))


@kernel("update-threshold")
def update_threshold(threshold, latents, decay):
    require_finite(threshold, latents)
    positive = latents[latents > 0]
    if threshold < 0:
        if positive.size == 0:
            raise ValueError("threshold: nothing to assign")
        return positive.min()
    smallest = positive.min() if positive.size else f32(0)
    return (f32(decay) * threshold + f32(1 - decay) * smallest).astype(f32)


@kernel("decode")
def decode(latents, W_dec, b_dec, prefixes):
    require_finite(latents, W_dec, b_dec)
    flat = latents.reshape(-1, latents.shape[-1])
    level = np.broadcast_to(b_dec, (flat.shape[0], b_dec.size)).astype(f32)
    levels, start = [], 0
    for end in prefixes:
        level = level + flat[:, start:end] @ W_dec[start:end]
        levels.append(level)
        start = end
    return np.stack(levels).reshape(len(prefixes), *latents.shape[:-1], b_dec.size)


@kernel("loss")
def loss(x, reconstructions, level_weights):
    require_finite(x, reconstructions)
    rows = x.size // x.shape[-1]
    errors = reconstructions - x
    level_losses = (errors * errors).reshape(len(level_weights), -1).sum(axis=1, dtype=f32) / f32(rows)
    total = (np.asarray(level_weights, f32) * level_losses).sum(dtype=f32) / f32(len(level_weights))
    return {"level_losses": level_losses, "loss": total.astype(f32)}


@kernel("since-fired")
def since_fired(since_fired, latents, dead_after):
    require_finite(since_fired, latents)
    counts = np.where((latents > 0).any(axis=0), f32(0), since_fired + f32(latents.shape[0]))
    return {"since_fired": counts, "dead": (counts >= dead_after).astype(f32)}


@kernel("auxk")
def auxk(residual, acts, W_dec, dead, alpha):
    require_finite(residual, acts, W_dec, dead)
    latents = np.zeros_like(acts)
    candidates = np.flatnonzero(dead)
    k_aux = min(residual.shape[1] // 2, candidates.size)
    if candidates.size == 0:
        return {"loss": f32(0), "latents": latents, "gradient": np.zeros_like(residual)}
    for row, values in zip(latents, acts):
        chosen = candidates[np.argsort(-values[candidates], kind="stable")[:k_aux]]
        row[chosen] = values[chosen]
    miss = latents @ W_dec - residual
    centred = residual - residual.mean(axis=0, dtype=f32)
    rows = f32(residual.shape[0])
    variance = (centred * centred).sum(dtype=f32) / rows
    if variance == 0:
        raise ValueError("auxk: the residual has no variance to divide by")
    factor = f32(1) / variance
    return {
        "loss": factor * ((miss * miss).sum(dtype=f32) / rows),
        "latents": latents,
        "gradient": miss * (f32(2 * alpha) * factor / rows),
    }


@kernel("gradients")
def gradients(x, latents, W_enc, b_enc, W_dec, b_dec, auxk_latents, auxk_gradient, prefixes, level_weights):
    require_finite(x, latents, W_enc, W_dec, b_dec, auxk_latents, auxk_gradient)
    rows = x.shape[0]
    errors = decode(latents, W_dec, b_dec, prefixes) - x
    scale = [f32(2 * weight / (len(prefixes) * rows)) for weight in level_weights]
    grad_W_dec = np.zeros_like(W_dec)
    delta = np.zeros_like(latents)
    # From the last level down: every later level acts through one accumulated residual.
    upstream = np.zeros_like(x)
    for g in reversed(range(len(prefixes))):
        start, end = (prefixes[g - 1] if g else 0), prefixes[g]
        upstream = upstream + scale[g] * errors[g]
        group = slice(start, end)
        grad_W_dec[group] = latents[:, group].T @ upstream
        delta[:, group] = np.where(latents[:, group] > 0, upstream @ W_dec[group].T, f32(0))
    grad_W_dec = grad_W_dec + auxk_latents.T @ auxk_gradient
    delta = delta + np.where(auxk_latents > 0, auxk_gradient @ W_dec.T, f32(0))
    grad_b_enc = delta.sum(axis=0, dtype=f32)
    return {
        "grad.W_enc": (x - b_dec).T @ delta,
        "grad.b_enc": grad_b_enc,
        "grad.W_dec": grad_W_dec,
        "grad.b_dec": upstream.sum(axis=0, dtype=f32) - W_enc @ grad_b_enc,
    }


@kernel("project-gradient")
def project_gradient(gradient, W_dec, epsilon):
    require_finite(gradient, W_dec)
    unit = W_dec / (norms(W_dec) + f32(epsilon))[:, None]
    return gradient - (gradient * unit).sum(axis=1, keepdims=True, dtype=f32) * unit


@kernel("clip-gradients")
def clip_gradients(grad_W_enc, grad_b_enc, grad_W_dec, grad_b_dec, max_norm):
    grads = {"W_enc": grad_W_enc, "b_enc": grad_b_enc, "W_dec": grad_W_dec, "b_dec": grad_b_dec}
    require_finite(*grads.values())
    squares = [(grad * grad).sum(dtype=f32) for grad in grads.values()]
    norm = np.sqrt(np.sum(squares, dtype=f32))
    factor = np.minimum(f32(1), f32(max_norm) / (norm + f32(1e-6)))
    return {"norm": norm, **{f"grad.{name}": factor * grad for name, grad in grads.items()}}


@kernel("learning-rate")
def learning_rate(step, steps, warmup_steps, decay_start, learning_rate):
    if step < warmup_steps:
        return f32(learning_rate * (step / warmup_steps))
    if decay_start is not None and step >= decay_start:
        return f32(learning_rate * ((steps - step) / (steps - decay_start)))
    return f32(learning_rate)


@kernel("adam-update")
def adam_update(parameter, gradient, m, v, step, rate, beta1, beta2, epsilon):
    require_finite(parameter, gradient, m, v)
    m = m + f32(1 - beta1) * (gradient - m)
    v = f32(beta2) * v + f32(1 - beta2) * gradient * gradient
    size = f32(rate / (1 - beta1 ** (step + 1)))
    root = np.sqrt(v) / f32(np.sqrt(1 - beta2 ** (step + 1)))
    return {"parameter": parameter - size * m / (root + f32(epsilon)), "m": m, "v": v}


@kernel("normalise-rows")
def normalise_rows(W_dec, epsilon):
    require_finite(W_dec)
    return W_dec / (norms(W_dec) + f32(epsilon))[:, None]


@kernel("train-step")
def train_step(**given):
    x, step, prefixes = given["x"], given["step"], given["prefixes"]
    names = ("W_enc", "b_enc", "W_dec", "b_dec")
    require_finite(x, *(given[name] for name in names))
    params = {name: given[name] for name in names}
    if step == 0:
        params["b_dec"] = geometric_median(x)
    W_dec = params["W_dec"]

    acts = encode(x, params["W_enc"], params["b_enc"], params["b_dec"])
    latents = batch_topk(acts, given["k"])
    threshold = given["threshold"]
    if step > given["threshold_start_step"]:
        threshold = update_threshold(threshold, latents, 0.999)
    reconstructions = decode(latents, W_dec, params["b_dec"], prefixes)
    losses = loss(x, reconstructions, given["level_weights"])
    counts = since_fired(given["since_fired"], latents, given["dead_after"])
    residual = x - reconstructions[-1]
    aux = auxk(residual, acts, W_dec, counts["dead"], given["auxk_alpha"])

    grads = gradients(
        x, latents, *params.values(), aux["latents"], aux["gradient"], prefixes, given["level_weights"]
    )
    projected = project_gradient(grads["grad.W_dec"], W_dec, 1e-6)
    clipped = clip_gradients(
        grads["grad.W_enc"], grads["grad.b_enc"], projected, grads["grad.b_dec"], 1.0
    )
    rate = learning_rate(
        step, given["steps"], given["warmup_steps"], given["decay_start"], given["learning_rate"]
    )
    updated = {
        name: adam_update(
            params[name],
            clipped[f"grad.{name}"],
            given[f"m_{name}"],
            given[f"v_{name}"],
            step,
            rate,
            0.9,
            0.999,
            1e-8,
        )
        for name in names
    }
    return {
        "acts": acts,
        "latents": latents,
        "reconstructions": reconstructions,
        "level_losses": losses["level_losses"],
        "reconstruction_loss": losses["loss"],
        "residual": residual,
        "auxk_latents": aux["latents"],
        "auxk_gradient": aux["gradient"],
        "auxk_loss": aux["loss"],
        "loss": losses["loss"] + f32(given["auxk_alpha"]) * aux["loss"],
        "dead": counts["dead"],
        "since_fired": counts["since_fired"],
        "threshold": threshold,
        **grads,
        "projected.W_dec": projected,
        "norm": clipped["norm"],
        **{f"clipped.{name}": clipped[f"grad.{name}"] for name in names},
        "updated.W_dec": updated["W_dec"]["parameter"],
        **{name: updated[name]["parameter"] for name in names},
        "W_dec": normalise_rows(updated["W_dec"]["parameter"], 2**-23),
        **{f"m.{name}": updated[name]["m"] for name in names},
        **{f"v.{name}": updated[name]["v"] for name in names},
    }


@kernel("fold-input-scale")
def fold_input_scale(W_enc, b_enc, W_dec, b_dec, threshold, scale, folds, score):
    require_finite(W_enc, b_enc, W_dec, b_dec, threshold)
    scale = f32(scale)
    if folds == "into-biases":
        b_enc = b_enc / scale
        divides = threshold >= 0  # below, it was never set
    else:
        W_enc, W_dec = W_enc * scale, W_dec / scale
        divides = score == "acts-times-decoder-norm"
    threshold = threshold / scale if divides else threshold
    return dict(W_enc=W_enc, b_enc=b_enc, W_dec=W_dec, b_dec=b_dec / scale, threshold=threshold)


@kernel("fold-decoder-norm")
def fold_decoder_norm(W_enc, b_enc, W_dec, b_dec, threshold):
    require_finite(W_enc, b_enc, W_dec, b_dec, threshold)
    n = np.maximum(norms(W_dec), f32(1e-8))
    return dict(W_enc=W_enc * n, b_enc=b_enc * n, W_dec=W_dec / n[:, None], b_dec=b_dec, threshold=threshold * n)


if __name__ == "__main__":
    serve(name="numpy example", device=f"numpy {np.__version__}", processes=2)
