"""
Nearly every operator in PyTorch on the CPU, float32 or float64, with gradients by autograd: all laws hold.

    matryoshka conformance --kernel "python3 torch_kernels.py" [--dtype float64]
"""

import os
import sys

import torch

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "python"))
from matryoshka_kernels import kernel, serve  # noqa: E402

# The matrices are small: threads would only wait for each other.
torch.set_num_threads(1)


def on_torch(operator):
    return kernel(operator, tensors="torch")


def require_finite(*tensors):
    if not all(torch.isfinite(tensor).all() for tensor in tensors):
        raise ValueError("expected finite values")


@on_torch("geometric-median")
def geometric_median(x):
    require_finite(x)
    median = x.mean(dim=0)
    for _ in range(100):
        distances = (x - median).norm(dim=1)
        if (distances == 0).any():
            raise ValueError("a row equals the iterate: its weight is infinite")
        weights = 1 / distances
        before, median = median, (weights[:, None] * x).sum(dim=0) / weights.sum()
        if (median - before).norm() < 1e-5:
            break
    return median


@on_torch("encode")
def encode(x, W_enc, b_enc, b_dec):
    require_finite(x, W_enc, b_enc, b_dec)
    return torch.relu((x - b_dec) @ W_enc + b_enc)


def keep_largest(values, count):
    """Along the last dimension. A stable sort keeps the lower index among equals; torch.topk keeps any."""
    order = values.argsort(dim=-1, descending=True, stable=True)[..., :count]
    return torch.zeros_like(values).scatter(-1, order, values.gather(-1, order).relu())


@on_torch("batch-topk")
def batch_topk(acts, k):
    require_finite(acts)
    count = int(k * (acts.numel() // acts.shape[-1]))
    if k < 0 or count > acts.numel():
        raise ValueError(f"k: expected 0 <= k <= {acts.shape[-1]}, got {k}")
    return keep_largest(acts.flatten(), count).reshape(acts.shape)


@on_torch("topk")
def topk(acts, k):
    require_finite(acts)
    if k != int(k) or not 0 <= k <= acts.shape[-1]:
        raise ValueError(f"k: expected a whole number from 0 to {acts.shape[-1]}, got {k}")
    return keep_largest(acts, int(k))


@on_torch("above-threshold")
def above_threshold(acts, threshold):
    require_finite(acts)
    if threshold.isnan():
        raise ValueError("threshold: expected a number, got NaN")
    return torch.where(acts > threshold, acts, torch.zeros_like(acts))


@on_torch("update-threshold")
def update_threshold(threshold, latents, decay):
    require_finite(threshold, latents)
    positive = latents[latents > 0]
    if threshold >= 0:
        smallest = positive.min() if positive.numel() else torch.zeros_like(threshold)
        return decay * threshold + (1 - decay) * smallest
    if positive.numel() == 0:
        raise ValueError("threshold: nothing to assign")
    return positive.min()


@on_torch("decode")
def decode(latents, W_dec, b_dec, prefixes):
    require_finite(latents, W_dec, b_dec)
    level = b_dec.expand(*latents.shape[:-1], b_dec.numel())
    levels, start = [], 0
    for end in prefixes:
        level = level + latents[..., start:end] @ W_dec[start:end]
        levels.append(level)
        start = end
    return torch.stack(levels)


def weighted_levels(x, reconstructions, level_weights):
    levels = torch.stack([(level - x).pow(2).sum(dim=-1).mean() for level in reconstructions])
    return levels, (levels * torch.tensor(level_weights, dtype=levels.dtype)).mean()


@on_torch("loss")
def loss(x, reconstructions, level_weights):
    require_finite(x, reconstructions)
    levels, total = weighted_levels(x, reconstructions, level_weights)
    return {"level_losses": levels, "loss": total}


@on_torch("since-fired")
def since_fired(since_fired, latents, dead_after):
    require_finite(since_fired, latents)
    fired = (latents > 0).any(dim=0)
    counts = torch.where(fired, torch.zeros_like(since_fired), since_fired + latents.shape[0])
    return {"since_fired": counts, "dead": (counts >= dead_after).to(counts.dtype)}


@on_torch("auxk")
def auxk(residual, acts, W_dec, dead, alpha):
    require_finite(residual, acts, W_dec, dead)
    candidates = dead > 0
    if not candidates.any():
        zero = torch.zeros((), dtype=acts.dtype)
        return {"loss": zero, "latents": torch.zeros_like(acts), "gradient": torch.zeros_like(residual)}
    k_aux = min(residual.shape[1] // 2, int(candidates.sum()))
    order = acts.masked_fill(~candidates, -torch.inf).argsort(dim=-1, descending=True, stable=True)[:, :k_aux]
    latents = torch.zeros_like(acts).scatter(-1, order, acts.gather(-1, order))
    variance = (residual - residual.mean(dim=0)).pow(2).sum(dim=-1).mean()
    if variance == 0:
        raise ValueError("auxk: the residual has no variance to divide by")
    reconstruction = (latents @ W_dec).requires_grad_()
    loss = (residual - reconstruction).pow(2).sum(dim=-1).mean() / variance
    (gradient,) = torch.autograd.grad(alpha * loss, reconstruction)
    return {"loss": loss, "latents": latents, "gradient": gradient}


@on_torch("gradients")
def gradients(x, latents, W_enc, b_enc, W_dec, b_dec, auxk_latents, auxk_gradient, prefixes, level_weights):
    require_finite(x, latents, W_enc, b_enc, W_dec, b_dec, auxk_latents, auxk_gradient)
    parameters = [parameter.detach().requires_grad_() for parameter in (W_enc, b_enc, W_dec, b_dec)]
    W_enc, b_enc, W_dec, b_dec = parameters
    pre = (x - b_dec) @ W_enc + b_enc
    through = pre - pre.detach()  # 0, with the gradient of pre

    # The selection is given: values as they came, gradients where they are positive.
    chosen = latents + torch.where(latents > 0, through, 0)
    _, total = weighted_levels(x, decode(chosen, W_dec, b_dec, prefixes), level_weights)
    revived = auxk_latents + torch.where(auxk_latents > 0, through, 0)
    total = total + ((revived @ W_dec) * auxk_gradient).sum()
    names = ("grad.W_enc", "grad.b_enc", "grad.W_dec", "grad.b_dec")
    return dict(zip(names, torch.autograd.grad(total, parameters)))


@on_torch("project-gradient")
def project_gradient(gradient, W_dec, epsilon):
    require_finite(gradient, W_dec)
    unit = W_dec / (W_dec.norm(dim=1, keepdim=True) + epsilon)
    return gradient - (gradient * unit).sum(dim=1, keepdim=True) * unit


@on_torch("clip-gradients")
def clip_gradients(grad_W_enc, grad_b_enc, grad_W_dec, grad_b_dec, max_norm):
    names = ("W_enc", "b_enc", "W_dec", "b_dec")
    parameters = []
    for grad in (grad_W_enc, grad_b_enc, grad_W_dec, grad_b_dec):
        require_finite(grad)
        parameters.append(torch.zeros_like(grad).requires_grad_())
        parameters[-1].grad = grad.clone()
    norm = torch.nn.utils.clip_grad_norm_(parameters, max_norm)
    return {"norm": norm, **{f"grad.{name}": parameter.grad for name, parameter in zip(names, parameters)}}


@kernel("learning-rate")
def learning_rate(step, steps, warmup_steps, decay_start, learning_rate):
    factor = 1.0
    if step < warmup_steps:
        factor = step / warmup_steps
    elif decay_start is not None and step >= decay_start:
        factor = (steps - step) / (steps - decay_start)
    return learning_rate * factor  # a Python number: stored in the format asked for


@on_torch("adam-update")
def adam_update(parameter, gradient, m, v, step, rate, beta1, beta2, epsilon):
    require_finite(parameter, gradient, m, v)
    weight = parameter.clone().requires_grad_()
    weight.grad = gradient
    adam = torch.optim.Adam([weight], lr=rate, betas=(beta1, beta2), eps=epsilon)
    adam.state[weight] = {
        "step": torch.tensor(float(step)),
        "exp_avg": m.clone(),
        "exp_avg_sq": v.clone(),
    }
    adam.step()
    state = adam.state[weight]
    return {"parameter": weight, "m": state["exp_avg"], "v": state["exp_avg_sq"]}


@on_torch("normalise-rows")
def normalise_rows(W_dec, epsilon):
    require_finite(W_dec)
    return W_dec / (W_dec.norm(dim=1, keepdim=True) + epsilon)


@on_torch("fold-input-scale")
def fold_input_scale(W_enc, b_enc, W_dec, b_dec, threshold, scale, folds, score):
    require_finite(W_enc, b_enc, W_dec, b_dec, threshold)
    if folds == "into-biases":
        b_enc = b_enc / scale
        divides = threshold >= 0  # below, it was never set
    else:
        W_enc, W_dec = W_enc * scale, W_dec / scale
        divides = score == "acts-times-decoder-norm"
    threshold = threshold / scale if divides else threshold
    return dict(W_enc=W_enc, b_enc=b_enc, W_dec=W_dec, b_dec=b_dec / scale, threshold=threshold)


@on_torch("fold-decoder-norm")
def fold_decoder_norm(W_enc, b_enc, W_dec, b_dec, threshold):
    require_finite(W_enc, b_enc, W_dec, b_dec, threshold)
    n = W_dec.norm(dim=1).clamp(min=1e-8)
    return dict(W_enc=W_enc * n, b_enc=b_enc * n, W_dec=W_dec / n[:, None], b_dec=b_dec, threshold=threshold * n)


if __name__ == "__main__":
    serve(
        name="torch example",
        device=f"torch {torch.__version__}, CPU",
        dtypes=["float32", "float64"],
        processes=2,
    )
