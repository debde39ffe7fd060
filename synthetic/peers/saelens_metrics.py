"""
SAELens's metrics of SAEs it trained for a few steps, with all that they were computed from: the fixture that holds our
metrics to its own (test/synthetic/peers/fixtures).

One file for each world: directions, edges, an evaluation sample, and for each architecture the weights, the latents and
SAELens's metrics, which are in the header. Run by python.sh.
"""

import argparse
import json
from dataclasses import replace
from pathlib import Path

import torch
from exports import say, sparse, versions, world_tensors, write_tensors
from saelens_package import VERSION, load
from saelens_saes import SETTINGS, Settings, evaluate, new_sae, train, weights
from saelens_worlds import make_world

SAES = {
    "tree": [SETTINGS["tree", name] for name in ("relu", "batchtopk", "matryoshka")],
    "mini256": [
        Settings("relu", d_sae=64, l1=1, steps=0, batch=0, learning_rate=2e-3),
        SETTINGS["mini256", "batchtopk"],
        SETTINGS["mini256", "matryoshka"],
    ],
}


def main():
    parser = argparse.ArgumentParser(description=__doc__.strip().partition("\n\n")[0])
    parser.add_argument("--out", type=Path, required=True, help="folder for tree.safetensors and mini256.safetensors")
    parser.add_argument("--steps", type=int, default=300, help="training steps of each SAE (default 300)")
    parser.add_argument("--rows", type=int, default=256, help="rows of the evaluation sample (default 256)")
    parser.add_argument("--batch", type=int, default=128, help="rows selected together in it (default 128)")
    parser.add_argument("--seed", type=int, default=0, help="of initial weights and of all draws (default 0)")
    options = parser.parse_args()
    if options.rows % options.batch != 0:
        parser.error(f"--rows: expected a multiple of --batch {options.batch}, got {options.rows}")
    options.out.mkdir(parents=True, exist_ok=True)
    torch.set_num_threads(1)
    code = load()
    for name, saes in SAES.items():
        write_world(code, make_world(code, name), saes, options)


def write_world(code, world, saes, options):
    torch.manual_seed(options.seed)
    features = world.generator.sample(options.rows)
    with torch.no_grad():
        x = world.feature_dict(features)
    tensors = world_tensors(world) | {"x": x} | sparse(features, "features.")
    facts = versions(sae_lens=VERSION) | {
        "world": world.name,
        "world_seed": world.seed,
        "seed": options.seed,
        "evaluation_batch": options.batch,
        "saes": [],
    }
    for settings in saes:
        settings = replace(settings, steps=options.steps, batch=512)
        say(f"{world.name}, {settings.architecture}: {options.steps} steps, seed {options.seed}")
        torch.manual_seed(options.seed)
        sae = new_sae(code, x.shape[1], settings)
        iterator = code.synthetic.training.SyntheticActivationIterator(world.feature_dict, world.generator, 512)
        batches = torch.stack([iterator.next_batch() for _ in range(options.steps)])
        train(code, sae, batches, settings)
        prefix = f"{settings.architecture}."
        metrics = evaluate(code, sae, world.feature_dict, features, options.batch)
        with torch.no_grad():
            latents = torch.cat([sae.encode(part) for part in x.split(options.batch)])
        tensors |= weights(sae, prefix) | sparse(latents, f"{prefix}latents.")
        facts["saes"].append({"settings": settings.as_json(), "metrics": metrics})
    path = options.out / f"{world.name}.safetensors"
    write_tensors(path, tensors, {"facts": json.dumps(facts)})
    say(f"{path}: {path.stat().st_size} bytes")


if __name__ == "__main__":
    main()
