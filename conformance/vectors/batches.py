"""Activations to train on: made here, seeded, float32 values, the same for both dtypes."""

import numpy as np


def drifting_batches(seed, steps, batch, d_in, amplitude, quiet):
    """
    x (steps, batch, d_in).

    Sums of a few concept directions out of a window that moves with the step, so latents that fired early fall silent
    and others wake up.

    amplitude   step -> spread of that batch
    quiet       step -> much smaller spread, around the first batch's mean
    """
    rng = np.random.default_rng(seed)
    concepts = rng.standard_normal((steps // 3, d_in))
    concepts /= np.linalg.norm(concepts, axis=1, keepdims=True)
    window = 4
    center = 0.3 * rng.standard_normal(d_in)
    x = np.empty((steps, batch, d_in))
    for step in range(steps):
        first = round(step / steps * (len(concepts) - window))
        strength = rng.standard_normal((batch, window)) * (rng.random((batch, window)) < 0.6)
        noise = 0.1 * rng.standard_normal((batch, d_in))
        x[step] = center + amplitude(step) * (strength @ concepts[first : first + window] + noise)
        if step in quiet:
            x[step] = x[0].mean(axis=0) + quiet[step] * rng.standard_normal((batch, d_in))
    return x.astype(np.float32)
