"""
SAELens's runs on its own generator's batches, with the batches: what compare.ts trains ours on, and compares it with.

Writes to a folder: runs.json (settings, and SAELens's metrics of each seed), world.safetensors (directions, edges, an
evaluation sample) and for each seed seed-N.safetensors (batches, initial weights, final weights, losses). Run by
python.sh. The folder takes about 0.2 GB a seed on the tree, 0.5 GB on the miniatures.
"""

import argparse
from dataclasses import replace
from pathlib import Path

import torch
from exports import say, sparse, versions, world_tensors, write_json, write_tensors
from saelens_package import VERSION, load
from saelens_saes import SETTINGS, evaluate, new_sae, train, weights
from saelens_worlds import make_world

# Of the evaluation sample, so that it is none of the seeds' training data.
EVALUATION_SEED = 1_000_003


def options_of(arguments=None):
    worlds, architectures = (sorted({key[i] for key in SETTINGS}) for i in (0, 1))
    parser = argparse.ArgumentParser(description=__doc__.strip().partition("\n\n")[0])
    parser.add_argument("--world", choices=worlds, default="tree")
    parser.add_argument("--architecture", choices=architectures, default="matryoshka")
    parser.add_argument("--out", type=Path, required=True, help="folder, made if need be")
    parser.add_argument("--seeds", type=int, default=5, help="0 to this, exclusive: of weights and of data (default 5)")
    parser.add_argument("--steps", type=int, help="instead of the table's (saelens_saes.py)")
    parser.add_argument("--rows", type=int, default=20_480, help="of the evaluation sample (default 20480)")
    parser.add_argument("--threads", type=int, default=1, help="of torch (default 1)")
    options = parser.parse_args(arguments)
    if (options.world, options.architecture) not in SETTINGS:
        parser.error(f"--architecture: {options.architecture} has no settings on {options.world}: see saelens_saes.py")
    if options.seeds < 1:
        parser.error(f"--seeds: expected at least 1, got {options.seeds}")
    return options


def main():
    options = options_of()
    torch.set_num_threads(options.threads)
    settings = SETTINGS[options.world, options.architecture]
    if options.steps is not None:
        settings = replace(settings, steps=options.steps)
    options.out.mkdir(parents=True, exist_ok=True)
    code = load()
    world = make_world(code, options.world)

    torch.manual_seed(EVALUATION_SEED)
    features = world.generator.sample(options.rows)
    with torch.no_grad():
        x = world.feature_dict(features)
    write_tensors(
        options.out / "world.safetensors", world_tensors(world) | {"x": x} | sparse(features, "features.")
    )
    runs = [run(code, world, features, settings, seed, options.out) for seed in range(options.seeds)]
    facts = {
        "peer": f"SAELens {VERSION}",
        "versions": versions(sae_lens=VERSION),
        "world": world.name,
        "world_seed": world.seed,
        "evaluation_batch": settings.batch,
        "settings": settings.as_json(),
        "runs": runs,
    }
    write_json(options.out / "runs.json", facts)


def run(code, world, features, settings, seed, out):
    say(f"{world.name}, {settings.architecture}: seed {seed}, {settings.steps} steps of {settings.batch}")
    torch.manual_seed(seed)
    sae = new_sae(code, world.feature_dict.hidden_dim, settings)
    tensors = weights(sae, "initial.")
    iterator = code.synthetic.training.SyntheticActivationIterator(
        world.feature_dict, world.generator, settings.batch
    )
    batches = torch.stack([iterator.next_batch() for _ in range(settings.steps)])

    def progress(step):
        if step % 500 == 0:
            say(f"  step {step}")

    losses = train(code, sae, batches, settings, progress)
    tensors |= weights(sae, "final.") | {"x": batches, "losses": losses}
    write_tensors(out / f"seed-{seed}.safetensors", tensors)
    metrics = evaluate(code, sae, world.feature_dict, features, settings.batch)
    say(f"  {metrics}")
    return {"seed": seed, "metrics": metrics}


if __name__ == "__main__":
    main()
