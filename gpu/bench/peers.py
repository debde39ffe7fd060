"""
A published trainer as one side of a benchmark: `peers.py dictionary_learning|saelens VECTORS`

Runs `MatryoshkaBatchTopKTrainer.update` of the PyPI package dictionary-learning, or `SAETrainer.step` of sae-lens on a
`MatryoshkaBatchTopKTrainingSAE`, from the parameters and on the activations it is given, and says how long each step
took. The packages' sources run unedited; only what they import to log, plot or download has stand-ins. VECTORS is the
folder conformance/vectors, whose make.py files load the packages, version and contents checked.

Requests and answers are lines of JSON on standard input and output; gpu/bench/messages.ts says which.
"""

import json
import os
import resource
import signal
import sys
import time
from pathlib import Path

FOLDERS = {"dictionary_learning": "dictionary-learning", "saelens": "saelens"}


def peak_resident_bytes():
    """On Linux the kernel's VmHWM: ru_maxrss there also counts the process that this one was forked from."""
    try:
        for line in Path("/proc/self/status").read_text().splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) * 1024
    except OSError:
        pass
    scale = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * scale


def load(peer, vectors):
    """The peer's modules, as the makers of the golden vectors load them."""
    sys.path[:0] = [vectors, str(Path(vectors) / FOLDERS[peer])]
    import make

    return make, make.load_published(lift=False)


def read_params(torch, setup):
    """W_enc, b_enc, W_dec, b_dec."""
    d_in, d_sae = setup["d_in"], setup["d_sae"]
    values = torch.from_file(setup["params"], size=2 * d_in * d_sae + d_sae + d_in).clone()
    parts = values.split([d_in * d_sae, d_sae, d_in * d_sae, d_in])
    shapes = [(d_in, d_sae), (d_sae,), (d_sae, d_in), (d_in,)]
    return dict(zip(["W_enc", "b_enc", "W_dec", "b_dec"], (p.reshape(s) for p, s in zip(parts, shapes))))


class DictionaryLearning:
    def __init__(self, code, setup, params):
        ends = setup["prefixes"]
        sizes = [end - start for start, end in zip([0, *ends], ends)]
        # The trainer truncates a fraction times d_sae; half a latent more makes that exact. The last takes the rest.
        fractions = [(size + 0.5) / setup["d_sae"] for size in sizes[:-1]]
        self.trainer = code.matryoshka.MatryoshkaBatchTopKTrainer(
            steps=setup["steps"],
            activation_dim=setup["d_in"],
            dict_size=setup["d_sae"],
            k=setup["k"],
            layer=0,
            lm_name="none",
            group_fractions=[*fractions, 1 - sum(fractions)],
            lr=setup["learning_rate"],
            auxk_alpha=setup["auxk_alpha"],
            warmup_steps=setup["warmup_steps"],
            threshold_start_step=setup["threshold_start_step"],
            seed=0,
            device=setup["peer_device"],
        )
        assert self.trainer.group_sizes == sizes
        self.trainer.dead_feature_threshold = setup["dead_after"]
        for name, values in params.items():
            getattr(self.trainer.ae, name).data.copy_(values)
        self.done = 0

    def step(self, x):
        self.loss = self.trainer.update(self.done, x)
        self.done += 1

    def before_last(self):
        pass

    def report(self):
        return {"loss": self.loss, "dead": self.trainer.dead_features}


class SaeLens:
    def __init__(self, code, setup, params):
        matryoshka = code.matryoshka_batchtopk_sae
        sae = matryoshka.MatryoshkaBatchTopKTrainingSAE(
            matryoshka.MatryoshkaBatchTopKTrainingSAEConfig(
                d_in=setup["d_in"],
                d_sae=setup["d_sae"],
                k=setup["k"],
                matryoshka_widths=setup["prefixes"],
                aux_loss_coefficient=setup["auxk_alpha"],
                device=setup["peer_device"],
            )
        )
        for name, values in params.items():
            getattr(sae, name).data.copy_(values)
        config = code.config.SAETrainerConfig(
            total_training_samples=setup["steps"] * setup["batch"],
            train_batch_size_samples=setup["batch"],
            lr=setup["learning_rate"],
            lr_end=setup["learning_rate"] / 10,
            lr_warm_up_steps=setup["warmup_steps"],
            dead_feature_window=setup["dead_after"],
            device=setup["peer_device"],
        )
        self.trainer = code.sae_trainer.SAETrainer(config, sae, iter(()))

    def step(self, x):
        # As fit does, without its progress bar.
        self.output = self.trainer.step(x)
        self.trainer.n_training_steps += 1

    def before_last(self):
        # The step takes those for dead that are so before it, and does not keep them.
        self.dead = int(self.trainer.dead_neurons.sum())

    def report(self):
        return {"loss": self.output.loss.item(), "dead": self.dead}


class Session:
    def __init__(self, peer, vectors, setup):
        import torch

        self.device, precision = setup["peer_device"], setup["peer_precision"]
        self.on_gpu = self.device == "cuda"
        if self.on_gpu and not torch.cuda.is_available():
            raise SystemExit(f"torch {torch.__version__} finds no CUDA device")
        make, code = load(peer, vectors)
        torch.set_num_threads(setup["threads"])
        torch.backends.cuda.matmul.allow_tf32 = precision == "tf32"
        bf16 = precision == "bf16"
        self.precision = lambda: torch.autocast(self.device, dtype=torch.bfloat16, enabled=bf16)
        self.torch, self.setup = torch, setup
        self.base = peak_resident_bytes()
        self.engine = f"{make.PACKAGE} {make.VERSION}, torch {torch.__version__}"
        if self.on_gpu:
            self.engine += f", {torch.cuda.get_device_name()}"
        if precision != "fp32":
            self.engine += f", {precision}"
        rows = setup["batches"] * setup["batch"]
        x = torch.from_file(setup["activations"], size=rows * setup["d_in"]).to(self.device, copy=True)
        self.batches = x.reshape(setup["batches"], setup["batch"], setup["d_in"])
        trainer = {"dictionary_learning": DictionaryLearning, "saelens": SaeLens}[peer]
        self.trainer = trainer(code, setup, read_params(torch, setup))
        self.done = 0

    def opened(self):
        return {"engine": self.engine, "notes": [], "base": self.base}

    def steps(self, n):
        seconds = []
        start = before = time.perf_counter()
        for i in range(n):
            if i == n - 1:
                self.trainer.before_last()
            with self.precision():
                self.trainer.step(self.batches[self.done % len(self.batches)])
            self.finish()
            self.done += 1
            now = time.perf_counter()
            seconds.append(now - before)
            before = now
        report = self.trainer.report()
        if report["loss"] - report["loss"] != 0:
            report["loss"] = None  # JSON has no NaN
        peak, threads = peak_resident_bytes(), self.setup["threads"]
        return {"total": before - start, "seconds": seconds, "peak": peak, "threads": threads, **report}

    def finish(self):
        """A GPU is asked and not waited for, unless one waits."""
        if self.on_gpu:
            self.torch.cuda.synchronize()

    def product(self, n):
        x = self.batches[0]
        weights = self.torch.rand(self.setup["d_in"], self.setup["d_sae"], device=self.device)
        seconds = []
        for _ in range(n):
            start = time.perf_counter()
            with self.precision():
                x @ weights
            self.finish()
            seconds.append(time.perf_counter() - start)
        return {"seconds": seconds}


def main():
    peer, vectors = sys.argv[1:]
    # Standard output belongs to answers: what a library prints goes to the other stream.
    answers = os.fdopen(os.dup(1), "w", buffering=1, encoding="utf-8")
    os.dup2(2, 1)
    # Ctrl-C reaches every process of a terminal: the one that asks decides when this one ends.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    session = None
    for line in sys.stdin:
        request = json.loads(line)
        try:
            if request["op"] == "setup":
                session = Session(peer, vectors, request)
                reply = session.opened()
            else:
                reply = getattr(session, request.pop("op"))(**request)
        except (Exception, SystemExit) as error:
            reply = {"error": f"{type(error).__name__}: {error}"}
        answers.write(json.dumps(reply) + "\n")


if __name__ == "__main__":
    main()
