"""
Runs of Nabeshima's own MatryoshkaSAE on batches of his own tree, with the batches: what compare.ts trains ours on.

Writes the same files as saelens_runs.py; a seed's file has the prefixes drawn in each step too. His tree draws about a
thousand rows a second, so it draws one pool, and each seed draws its batches from the pool, with replacement. Metrics are
SAELens's, since the repository has none. Run by python.sh, which clones the repository.
"""

import argparse
import contextlib
import json
import os
import sys
import tempfile
import time
import types
from pathlib import Path

# With a GPU, GradScaler would scale losses, and skip steps.
os.environ["CUDA_VISIBLE_DEVICES"] = ""

import numpy as np
import torch
from exports import say, sparse, versions, write_json, write_tensors
from published import load_modules, read_pinned
from recording import listing_results
from saelens_package import VERSION, load
from saelens_saes import evaluate, weights

NAME = "github.com/noanabeshima/matryoshka-saes"

SOURCES = {
    "sae": "12116dc661491de9d5ae0a239d6eeb4eff20855b68bd28730d0ca194ad7ba0b6",
    "toy_model": "356204e52c8d24c937c06e0ab6e9491fb7a00c729c0e05b73d427ee2c310b9aa",
}
TREE = "3fe993bccad94a5d676cb30e0aba78275e7db596e438d0230cc3fed780ff7e87"

# Cell 0 of train_saes_on_toy.ipynb: one prefix and latents left in place, or ten and latents re-ordered.
ARCHITECTURES = {"vanilla": (1, False), "matryoshka": (10, True)}


def load_published(repository, commit):
    """The modules `sae` and `toy_model`, and the tree. toy_model reads its tree from the working folder as it loads."""
    texts = {name: read_pinned(repository, commit, f"{name}.py", digest, NAME) for name, digest in SOURCES.items()}
    tree = read_pinned(repository, commit, "tree.json", TREE, NAME)
    # Its only use is to check tree.json against a schema.
    jsonschema = types.ModuleType("jsonschema")
    jsonschema.validate = lambda *_: None
    with tempfile.TemporaryDirectory() as folder, contextlib.chdir(folder):
        Path("tree.json").write_text(tree, encoding="utf-8")
        Path("tree.schema.json").write_text("{}", encoding="utf-8")
        modules = load_modules(texts, [jsonschema])
    return modules["sae"], modules["toy_model"].Tree(json.loads(tree))


def edges_of(node):
    """(parent, child) of read-out nodes."""
    for child in node.children:
        if node.index is not False and child.index is not False:
            yield node.index, child.index
        yield from edges_of(child)


def sample(tree, rows):
    """Activations of his own generator, (rows, 20)."""
    parts = []
    start = time.perf_counter()
    for first in range(0, rows, 10_000):
        parts.append(tree.sample(min(10_000, rows - first)))
        say(f"  tree: {first + len(parts[-1])} of {rows} rows, {time.perf_counter() - start:.0f} s")
    return torch.cat(parts)


class Judged:
    """The SAE as SAELens's evaluation asks for one. It has no decoder function: this is `step`'s last prefix, in x's units."""

    def __init__(self, sae):
        self.sae, self.W_dec = sae, sae.W_dec.detach()

    def eval(self):
        pass

    def encode(self, x):
        return self.sae.get_acts(x)

    def decode(self, latents):
        norms = self.W_dec.norm(dim=1)
        return (latents / norms) @ self.W_dec + self.sae.normalizer.unnormalize(self.sae.b_dec.detach())


def main():
    parser = argparse.ArgumentParser(description=__doc__.strip().partition("\n\n")[0])
    parser.add_argument("--repository", required=True, help="a clone (python.sh gives it)")
    parser.add_argument("--commit", required=True, help="to read it at (python.sh gives it)")
    parser.add_argument("--architecture", choices=[*ARCHITECTURES], default="matryoshka")
    parser.add_argument("--out", type=Path, required=True, help="folder, made if need be")
    parser.add_argument("--seeds", type=int, default=5, help="0 to this, exclusive (default 5)")
    parser.add_argument("--steps", type=int, default=5000, help="(default 5000; the notebook has 40000)")
    parser.add_argument("--target-l0", type=float, default=1.2338, help="(default 1.2338, the notebook's)")
    parser.add_argument("--rows", type=int, default=20_000, help="of the evaluation sample (default 20000)")
    parser.add_argument("--pool-rows", type=int, default=100_000, help="to train on (default 100000: two minutes)")
    parser.add_argument("--pool", type=Path, help="file that keeps what the tree drew, made if need be")
    options = parser.parse_args()
    if options.seeds < 1 or options.steps < 1:
        parser.error("--seeds, --steps: expected at least 1")
    torch.set_num_threads(1)
    options.out.mkdir(parents=True, exist_ok=True)
    published, tree = load_published(options.repository, options.commit)

    torch.manual_seed(42)
    np.random.seed(42)
    # Cell 2: orthogonal directions, each of its own norm.
    directions = torch.linalg.qr(torch.randn(20, 20)).Q * (1 + 0.05 * torch.randn(20))[:, None]
    pool, features = rows_of(tree, options)
    tensors = {
        "directions": directions,
        "bias": torch.zeros(20),
        "edges": torch.tensor(sorted(edges_of(tree), key=lambda edge: edge[1]), dtype=torch.int32),
        "x": features @ directions,
    }
    write_tensors(options.out / "world.safetensors", tensors | sparse(features, "features."))
    runs = [run(published, pool @ directions, directions, features, seed, options) for seed in range(options.seeds)]
    facts = {
        "peer": f"{NAME} {options.commit[:7]}",
        "versions": versions(sae_lens=VERSION),
        "world": "tree",
        "world_seed": 42,
        "evaluation_batch": 200,
        "settings": settings_of(options),
        "runs": runs,
    }
    write_json(options.out / "runs.json", facts)


def settings_of(options):
    prefixes, permutes = ARCHITECTURES[options.architecture]
    return {
        "architecture": f"nabeshima-{options.architecture}",
        "d_sae": 20,
        "steps": options.steps,
        "batch": 200,
        "learning_rate": 3e-2,
        "target_l0": options.target_l0,
        "sparsity_start": 0.2,
        "prefixes_a_step": prefixes,
        "permute_latents": permutes,
    }


def rows_of(tree, options):
    """Activations to train on, and to evaluate on."""
    rows = options.pool_rows + options.rows
    if options.pool is not None and options.pool.exists():
        kept = torch.load(options.pool)
        if len(kept) != rows:
            sys.exit(f"nabeshima_runs.py: {options.pool}: expected {rows} rows, got {len(kept)}: delete it")
    else:
        kept = sample(tree, rows).to(torch.uint8)
        if options.pool is not None:
            torch.save(kept, options.pool)
    return kept[: options.pool_rows].float(), kept[options.pool_rows :].float()


def run(published, pool, directions, features, seed, options):
    settings = settings_of(options)
    say(f"tree, {settings['architecture']}: seed {seed}, {settings['steps']} steps of 200")
    torch.manual_seed(seed)
    np.random.seed(seed)
    sae = published.MatryoshkaSAE(
        d_model=20,
        n_latents=20,
        n_prefixes=settings["prefixes_a_step"],
        target_l0=settings["target_l0"],
        n_steps=settings["steps"],
        lr=settings["learning_rate"],
        permute_latents=settings["permute_latents"],
        starting_sparsity_loss_scale=settings["sparsity_start"],
    )
    tensors = weights(sae, "initial.")
    batches = pool[torch.randint(len(pool), (settings["steps"], 200))]
    losses = torch.empty(settings["steps"])
    with listing_results(published, "sample_prefixes") as prefixes:
        for step, x in enumerate(batches):
            losses[step] = sae.step(x)["loss"].detach()
            if (step + 1) % 1000 == 0:
                say(f"  step {step + 1}")
    tensors |= weights(sae, "final.") | {
        "x": batches,
        "losses": losses,
        "prefixes": torch.tensor(np.stack(prefixes), dtype=torch.int32),
        "final.mean_norm": sae.normalizer.running_avg.detach(),
    }
    write_tensors(options.out / f"seed-{seed}.safetensors", tensors)
    code = load()
    feature_dict = code.synthetic.feature_dictionary.FeatureDictionary(20, 20, initializer=None)
    feature_dict.feature_vectors.data = directions
    metrics = evaluate(code, Judged(sae), feature_dict, features, 200)
    say(f"  {metrics}")
    return {"seed": seed, "metrics": metrics}


if __name__ == "__main__":
    main()
