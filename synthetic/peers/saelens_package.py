"""
SAELens's synthetic worlds, trainers and metrics, loaded unedited from the pinned package: every file checked by SHA-256.

The golden vectors' make.py loads the SAEs and their trainer; this adds `sae_lens.synthetic` and the calculator of explained
variance. What is imported only to log, plot or download has stand-ins; scipy is real.
"""

import functools
import importlib.util
import types
from pathlib import Path

import make
from published import Unused, load_modules, read_source

VERSION = make.VERSION

# In the order of loading: a package's own text comes after what it imports.
SYNTHETIC = {
    "evals.py": "d7e87f2e1f32e3d30057e6ff68b6ec971af13745d8153d1dfa3dc5acdb2d7300",
    "synthetic/correlation.py": "b43f09f5a6d67ee16d199ac46db167e0ff0579370d285d95e498412f00d49a48",
    "synthetic/activation_generator.py": "bbf6a74d046734b86335f6c9efe17e785ca55d6666e4e910afdbc11402b6201f",
    "synthetic/feature_dictionary.py": "e196689d933d15a967e5313577acb6c29262c76f46ee45db9d1ea11f853ae171",
    "synthetic/registry.py": "b58df591a3a6129c28dc0aa6cc9d6c6882e3b93bf3e4b2952b092204387de581",
    "synthetic/firing_magnitudes.py": "c79ed48b6303b6a3d847733b9c52b9e01e4a4032c21f83618ded20fc9ec8eb4a",
    "synthetic/firing_probabilities.py": "aaba38edd68ac955aed71094853b8ace313a65b795e0e1019f767ddcec90be52",
    "synthetic/evals.py": "59dda6bbf798574a9ea769143d838ea891e9078889dfbd0b7112e0ea214a6a8d",
    "synthetic/hierarchy/validation.py": "baf50e66f2d86771d0b8dfa306628b7cfb1e225f4aacc05da2f5f8e35f5efc80",
    "synthetic/hierarchy/node.py": "de72afc1c48ff3f67bfeb31c0da7947b25d5d9f94c88760c7663b66b059d7935",
    "synthetic/hierarchy/config.py": "4d026da3c7e6089a249ed60929cff073ba9f19acae5bf5a7eefa55531b49e388",
    "synthetic/hierarchy/modifier.py": "684f40dbcbbe154684986fc5e3dfc37631f68b079eef86d14e2feb4c1c6abf1b",
    "synthetic/hierarchy/hierarchy.py": "f3b638c1ce244054574af2be03736ac1490ee3662172ed88a3ada5233c26083c",
    "synthetic/hierarchy/__init__.py": "93cf9fedb420994c175e4d3ba1e80ac29d579435b034c75507fff4d0634ab2c5",
    "synthetic/synthetic_model.py": "00ab1557ac5a6b944f5a947ee6b3fbc21a8c8b3ddc12e629e4c59c10c16572ac",
    "synthetic/training.py": "63b43992b262d8b06b932326b008bcbc983b648fb70ec0a2318399c66e933b76",
    "synthetic/synthetic_sae_runner.py": "09e2c24f97cb1d8508881e362f5e387a3f3f9408810471ec5b464a62eb55570f",
}


def stand_ins():
    """Those of the golden vectors, and of what SAELens's evaluation of language models imports."""
    # The trainer makes a histogram every `feature_sampling_window` steps, logged or not.
    wandb = types.ModuleType("wandb")
    wandb.Histogram = lambda *_, **__: None
    unused = ["pandas", "transformer_lens", "huggingface_hub", "huggingface_hub.utils"]
    others = [module for module in make.stand_ins() if module.__name__ != "wandb"]
    return [*others, wandb, *map(Unused, [*unused, "sae_lens.training.activations_store"])]


@functools.cache
def load():
    """
    A namespace of the modules that train, by their last name (`sae_trainer`, `standard_sae`, ...), with those of
    `sae_lens.synthetic` in one of its own, `synthetic`.
    """
    root = Path(importlib.util.find_spec("sae_lens").submodule_search_locations[0])
    sources = {"sae_lens": f"import logging\nlogger = logging.getLogger('sae_lens')\n__version__ = '{VERSION}'\n"}
    sources |= {f"sae_lens.{package}": None for package in ("loading", "saes", "training", "synthetic")}
    for name, digest in (make.SOURCES | SYNTHETIC).items():
        sources[module_name(name)] = read_source(root / name, digest, make.PACKAGE)
    # The evaluation of language models asks for its own path while it is loaded.
    sources["sae_lens.evals"] = f"__file__ = {str(root / 'evals.py')!r}\n" + sources["sae_lens.evals"]
    modules = load_modules(sources, stand_ins())
    code, code.synthetic = (
        types.SimpleNamespace(**{module_name(name).rpartition(".")[2]: modules[module_name(name)] for name in names})
        for names in (make.SOURCES, [name for name in SYNTHETIC if name.startswith("synthetic/")])
    )
    # As its __init__ does: a training configuration looks for its inference class.
    for name, module, sae in (
        ("jumprelu", code.jumprelu_sae, "JumpReLUSAE"),
        ("standard", code.standard_sae, "StandardSAE"),
        ("topk", code.topk_sae, "TopKSAE"),
    ):
        code.registry.register_sae_class(name, getattr(module, sae), getattr(module, f"{sae}Config"))
    return code


def module_name(path):
    return "sae_lens." + path.removesuffix(".py").removesuffix("/__init__").replace("/", ".")
