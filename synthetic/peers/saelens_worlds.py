"""SAELens's own generators of the worlds that are compared: the tree, the miniatures, and SynthSAEBench-16k."""

from dataclasses import dataclass

import torch

# P(child | parent) = 0.2 for each of three exclusive children. SAELens draws children apart and then keeps one of those
# that are on, each as likely: P(none) = (1 - q)^3, which is 0.4 for this q. The same distribution as one draw of four.
TREE_CHILD = 1 - 0.4 ** (1 / 3)


@dataclass
class PeerWorld:
    """
    feature_dict   directions and bias; called on activations (rows, features) it gives x (rows, d_in)
    generator      sample(rows) gives activations; draws from torch's global generator
    edges          (parent, child), in order of the child
    """

    name: str
    seed: int
    feature_dict: object
    generator: object
    edges: list


# features, d_in, p_max, p_min, roots, depth
MODELS = {
    "mini256": (256, 64, 0.3, 0.004, 8, 2),
    "mini1k": (1024, 128, 0.3, 0.002, 8, 3),
    "synth16k": (16384, 768, 0.4, 5e-4, 128, 3),
}

NAMES = ["tree", *MODELS]


def make_world(code, name, seed=42, orthogonalised=True):
    """
    orthogonalised   False leaves the directions of all but the tree as they were drawn: what a sample costs is the same,
                     and SynthSAEBench-16k takes seconds instead of most of an hour
    """
    return _tree(code, seed) if name == "tree" else _model(code, name, seed, orthogonalised)


def _tree(code, seed):
    """Nabeshima's tree: parents 0, 4, 8, each with three exclusive children; leaves 12 to 19."""
    probabilities = torch.full((20,), 0.05)
    families, edges = [], []
    for parent in (0, 4, 8):
        children = [parent + 1, parent + 2, parent + 3]
        probabilities[parent] = 0.15
        probabilities[children] = TREE_CHILD
        nodes = [code.synthetic.node.HierarchyNode(feature_index=child) for child in children]
        families.append(code.synthetic.node.HierarchyNode(parent, nodes, mutually_exclusive_children=True))
        edges += [(parent, child) for child in children]
    generator = code.synthetic.activation_generator.ActivationGenerator(
        20, probabilities, modify_activations=code.synthetic.modifier.hierarchy_modifier(families)
    )

    def orthogonal(feature_dict):
        draws = torch.Generator().manual_seed(seed)
        directions = torch.linalg.qr(torch.randn(20, 20, generator=draws)).Q
        feature_dict.feature_vectors.data = directions * (1 + 0.05 * torch.randn(20, 1, generator=draws))

    feature_dict = code.synthetic.feature_dictionary.FeatureDictionary(20, 20, bias=False, initializer=orthogonal, seed=seed)
    return PeerWorld("tree", seed, feature_dict, generator, edges)


def _model(code, name, seed, orthogonalised):
    config = model_config(code, name, seed)
    if not orthogonalised:
        config.orthogonalization = None
    model = code.synthetic.synthetic_model.SyntheticModel(config)
    edges = [edge for root in model.hierarchy.roots for edge in _edges(root)]
    return PeerWorld(name, seed, model.feature_dict, model.activation_generator, sorted(edges, key=lambda e: e[1]))


def model_config(code, name, seed):
    features, d_in, p_max, p_min, roots, depth = MODELS[name]
    synthetic = code.synthetic
    module, magnitudes = synthetic.synthetic_model, synthetic.firing_magnitudes
    return module.SyntheticModelConfig(
        num_features=features,
        hidden_dim=d_in,
        firing_probability=synthetic.firing_probabilities.ZipfianFiringProbabilityConfig(
            exponent=0.5, max_prob=p_max, min_prob=p_min
        ),
        hierarchy=synthetic.config.HierarchyConfig(
            total_root_nodes=roots,
            branching_factor=4,
            max_depth=depth,
            mutually_exclusive_portion=1.0,
            compensate_probabilities=True,
            scale_children_by_parent=True,
        ),
        orthogonalization=module.OrthogonalizationConfig(num_steps=100, lr=3e-4),
        correlation=module.LowRankCorrelationConfig(rank=25, correlation_scale=0.1),
        mean_firing_magnitudes=magnitudes.LinearMagnitudeConfig(start=5.0, end=4.0),
        std_firing_magnitudes=magnitudes.FoldedNormalMagnitudeConfig(mean=0.5, std=0.5),
        bias=0.5,
        seed=seed,
    )


def _edges(node):
    for child in node.children:
        yield node.feature_index, child.feature_index
        yield from _edges(child)
