"""
Watching published code while it runs. Nothing here computes what is recorded, and nothing watched is called twice: a
second call might advance a threshold or a counter.
"""

import contextlib
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
    What is kept of a run: the state before and after each recorded step and what the step did, a few values of every
    step, and which recorded steps took which branch.

    blocks   first and last step of each range that is recorded
    flags    names of the branches
    """

    def __init__(self, blocks, flags):
        self.recorded_steps = [t for first, last in blocks for t in range(first, last + 1)]
        self.recorded_states = sorted({state for t in self.recorded_steps for state in (t, t + 1)})
        self.states, self.steps, self.every = {}, {}, []
        self.flags = {name: [] for name in flags}

    def saw_state(self, t, state):
        """The state before step t, or after the last step."""
        if t in self.recorded_states:
            self.states[t] = state

    def saw_step(self, t, step, taken, every):
        """What step t did, the branches it took, and the values that are kept of every step."""
        assert taken.keys() == self.flags.keys()
        assert t == len(self.every)
        self.every.append(every)
        if t in self.recorded_steps:
            self.steps[t] = step
            for name, was_taken in taken.items():
                if was_taken:
                    self.flags[name].append(t)

    def absent_flags(self, without=()):
        return [name for name, steps in self.flags.items() if not steps and name not in without]

    def tensors(self):
        assert list(self.states) == self.recorded_states and list(self.steps) == self.recorded_steps
        tensors = {}
        for entries in (self.states.values(), self.steps.values(), self.every):
            for name in next(iter(entries)):
                tensors[name] = np.stack([entry[name] for entry in entries])
        return tensors
