"""
Watching published code while it runs. Nothing here computes what is recorded, and nothing watched is called twice: a
second call might advance a threshold or a counter.
"""

import contextlib
import inspect
import sys
from typing import NamedTuple

import numpy as np
import torch
from torch.overrides import TorchFunctionMode


def array(value):
    """A copy as numpy: what is recorded must not change with the tensor it was read from."""
    return value.detach().numpy().copy() if torch.is_tensor(value) else np.asarray(value)


class Call(NamedTuple):
    name: str
    args: tuple
    result: object
    value: object  # of a result that is a single number: a copy made at once, because a later call may write into it


class Calls(TorchFunctionMode):
    """Lists every torch call made inside it, and lets each one through unchanged."""

    def __init__(self):
        super().__init__()
        self.made = []

    def __torch_function__(self, function, types, args=(), kwargs=None):
        result = function(*args, **(kwargs or {}))
        value = array(result) if torch.is_tensor(result) and result.ndim == 0 else None
        self.made.append(Call(function.__name__.strip("_"), args, result, value))
        return result

    def named(self, name):
        """Results of the calls of `name`."""
        return [call.result for call in self.made if call.name == name]

    def using(self, name, tensor):
        """Results of the calls of `name` whose first argument is this very tensor."""
        return [call.result for call in self.made if call.name == name and call.args[0] is tensor]

    def values(self, name, tensor):
        """Numbers returned by the calls of `name` whose first argument is this very tensor."""
        return [call.value for call in self.made if call.name == name and call.args[0] is tensor]


@contextlib.contextmanager
def replaced(owner, name, wrap):
    """Puts wrap(original) in the place of owner's attribute, and the original back at the end."""
    original = getattr(owner, name)
    setattr(owner, name, wrap(original))
    try:
        yield
    finally:
        setattr(owner, name, original)


@contextlib.contextmanager
def all_replaced(replacements):
    """`replaced` for each (owner, name, wrap)."""
    with contextlib.ExitStack() as stack:
        for replacement in replacements:
            stack.enter_context(replaced(*replacement))
        yield


def looking_after(look):
    """A wrapper that shows `look` the result and the arguments of each call, and changes neither."""

    def wrap(original):
        def watched(*args, **kwargs):
            result = original(*args, **kwargs)
            look(result, *args, **kwargs)
            return result

        return watched

    return wrap


def listing_calls(look):
    """A wrapper that shows `look` the result of each call, the torch calls made in it, and its arguments."""

    def wrap(original):
        def watched(*args, **kwargs):
            with Calls() as calls:
                result = original(*args, **kwargs)
            look(result, calls, *args, **kwargs)
            return result

        return watched

    return wrap


@contextlib.contextmanager
def listing_results(owner, name):
    """Copies of what each call of owner's function returns, made before anything can write into it."""
    results = []
    with replaced(owner, name, looking_after(lambda result, *_, **__: results.append(array(result)))):
        yield results


def record_draws(tensors, prefix, owner, name, build, parameters):
    """
    Puts the random draws that a constructor makes, and the parameters it ends with, into `tensors`.

    owner, name   the function that draws
    build         calls the constructor
    parameters    of what it returns: name -> tensor
    Returns the shape of each draw.
    """
    torch.manual_seed(7)
    with listing_results(owner, name) as draws:
        built = build()
    for i, draw in enumerate(draws):
        tensors[f"{prefix}.draw.{i}"] = draw
    for parameter, values in parameters(built).items():
        tensors[f"{prefix}.{parameter}"] = array(values)
    return {"seed": 7, "drawn_by": name, "draws": [list(draw.shape) for draw in draws]}


def defaults_of(function, *names):
    """The default values of a function's arguments, or of a dataclass's fields."""
    parameters = inspect.signature(function).parameters
    return {name: parameters[name].default for name in names}


def clip_norm_of(call):
    """The norm to which the one call of clip_grad_norm_ made by `call` clips."""
    norms = []

    def look(_, parameters, max_norm):
        norms.append(max_norm)

    with replaced(torch.nn.utils, "clip_grad_norm_", looking_after(look)):
        call()
    (norm,) = norms
    return norm


def error_of(call, *args, **kwargs):
    """What an invalid call of the published code raises, as data."""
    try:
        call(*args, **kwargs)
    except Exception as error:
        return {"error": type(error).__name__, "message": str(error)}
    sys.exit("make.py: a call that used to raise did not")


def adam_moments(optimizer, parameters):
    """m.* and v.* of named parameters. Adam has none before its first step; zeros are what it then starts from."""
    moments = {}
    for name, parameter in parameters.items():
        state = optimizer.state.get(parameter, {}) if optimizer else {}
        moments[f"m.{name}"] = array(state.get("exp_avg", torch.zeros_like(parameter)))
        moments[f"v.{name}"] = array(state.get("exp_avg_sq", torch.zeros_like(parameter)))
    return moments


class StepLog:
    """
    What is kept of a run: the state before every step and after the last, what each step did, and which steps took
    which branch.

    flags    names of the branches
    """

    def __init__(self, flags):
        self.states, self.steps = [], []
        self.flags = {name: [] for name in flags}

    @property
    def recorded_steps(self):
        return list(range(len(self.steps)))

    @property
    def recorded_states(self):
        return list(range(len(self.states)))

    def saw_state(self, t, state):
        """The state before step t, or after the last step."""
        assert t == len(self.states)
        self.states.append(state)

    def saw_step(self, t, step, taken):
        """What step t did, and the branches it took."""
        assert taken.keys() == self.flags.keys()
        assert t == len(self.steps)
        self.steps.append(step)
        for name, was_taken in taken.items():
            if was_taken:
                self.flags[name].append(t)

    def check_flags(self, id, dialect, without=()):
        """Stops when a branch that the run is there to show was not taken."""
        absent = [name for name, steps in self.flags.items() if not steps and name not in without]
        if absent:
            sys.exit(f"make.py: {id} {dialect.name}: no step for {absent}")

    def tensors(self):
        assert len(self.states) == len(self.steps) + 1
        tensors = {}
        for entries in (self.states, self.steps):
            for name in entries[0]:
                tensors[name] = np.stack([entry[name] for entry in entries])
        return tensors
