"""
A kernel that misbehaves in the way its first argument names; needs nothing but Python. It offers normalise-rows and answers
with its input unless its way says otherwise. Further arguments only mark the process, so that a test can look for it.
"""

import json
import os
import signal
import struct
import subprocess
import sys
import threading
import time

START = b"\x93SAEk1\r\n"
STDIN, STDOUT = sys.stdin.buffer, sys.stdout.buffer


def receive():
    head = STDIN.read(16)
    if len(head) < 16:
        raise SystemExit(0)
    message = STDIN.read(struct.unpack("<Q", head[8:])[0])
    (length,) = struct.unpack("<Q", message[:8])
    header = json.loads(message[8 : 8 + length])
    return header.pop("__metadata__"), header, message[8 + length :]


def message_of(metadata, tensors=(), data=b""):
    header, at = {"__metadata__": metadata}, 0
    for name, (dtype, shape, size) in dict(tensors).items():
        header[name] = {"dtype": dtype, "shape": shape, "data_offsets": [at, at + size]}
        at += size
    text = json.dumps(header).encode()
    return struct.pack("<Q", len(text)) + text + data


def frame(message):
    return START + struct.pack("<Q", len(message)) + message


def put(data):
    STDOUT.write(data)
    STDOUT.flush()


def hello_of(**changes):
    hello = {
        "id": "0",
        "protocol": "1",
        "name": "hostile",
        "operators": '["normalise-rows"]',
        "dtypes": '["float32"]',
        **changes,
    }
    return frame(message_of({name: text for name, text in hello.items() if text is not None}))


def right(asked, tensors, data, **changes):
    """The right form of an answer, if not the right values: W_dec as it came."""
    shape = tensors["W_dec"]["shape"]
    return frame(message_of({"id": asked["id"], "status": "ok", **changes}, {"W_dec": ("F32", shape, len(data))}, data))


def named(name, dtype="F32"):
    """Answers with a tensor of another name or dtype."""

    def answer(asked, tensors, data):
        wide = data + data if dtype == "F64" else data
        tensors = {name: (dtype, tensors["W_dec"]["shape"], len(wide))}
        put(frame(message_of({"id": asked["id"], "status": "ok"}, tensors, wide)))

    return answer


def wrong_shape(asked, tensors, data):
    tensors = {"W_dec": ("F32", [len(data) // 4], len(data))}
    put(frame(message_of({"id": asked["id"], "status": "ok"}, tensors, data)))


def missing(asked, tensors, data):
    put(frame(message_of({"id": asked["id"], "status": "ok"})))


def extra(asked, tensors, data):
    both = {"W_dec": ("F32", tensors["W_dec"]["shape"], len(data)), "scratch": ("F32", [], 4)}
    put(frame(message_of({"id": asked["id"], "status": "ok"}, both, data + bytes(4))))


def not_a_number(asked, tensors, data):
    put(right(asked, tensors, struct.pack("<f", float("nan")) * (len(data) // 4)))


def shape_of(shape):
    def answer(asked, tensors, data):
        put(frame(message_of({"id": asked["id"], "status": "ok"}, {"W_dec": ("F32", shape, len(data))}, data)))

    return answer


def raw(message):
    """Answers with this message, whatever it is."""
    return lambda *_: put(frame(message))


def slowly(seconds):
    def answer(*call):
        for byte in right(*call):
            put(bytes([byte]))
            time.sleep(seconds)

    return answer


calls = 0


def third(*call):
    global calls
    calls += 1
    if calls == 3:
        print("three is too many", file=sys.stderr)
        sys.exit(7)
    put(right(*call))


def by_signal(*_):
    os.kill(os.getpid(), signal.SIGSEGV)
    time.sleep(60)


def garbage(*call):
    put(b"epoch 1 \xe2\x9c\x93\n" + START[:5] + b"\n" + right(*call) + b"after\x1b[2J")


def twice(*call):
    put(right(*call) * 2)


def close_stdout(*_):
    os.close(1)
    time.sleep(60)


def child_keeps_stdout(*_):
    subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)", *sys.argv[2:]])
    os._exit(4)


def child_leaves_group(*_):
    """It writes until its pipe is closed; nobody is there to end it."""
    program = "import os, time\nwhile True:\n    os.write(1, bytes(4096))\n    time.sleep(0.001)"
    subprocess.Popen([sys.executable, "-c", program, *sys.argv[2:]], start_new_session=True)
    os._exit(4)


def flood_stderr(*call):
    line = b"warning: " + b"x" * 1000 + b"\n"
    for _ in range(20_000):
        os.write(2, line)
    put(right(*call))


def flood_stdout(*_):
    while True:
        os.write(1, b"spam " * 10_000)


def flood_always(*call):
    """Errors without end, beside answers."""

    def write():
        while True:
            os.write(2, b"x" * 1000)

    threading.Thread(target=write, daemon=True).start()
    put(right(*call))


def ignore_sigterm(*_):
    for name in ("SIGTERM", "SIGINT", "SIGHUP"):
        signal.signal(getattr(signal, name), signal.SIG_IGN)
    time.sleep(60)


def half(*call):
    put(right(*call)[:40])
    os._exit(0)


def late_death(*call):
    put(right(*call))
    os._exit(5)


def sleep(*_):
    time.sleep(60)


def exit_at_once(*_):
    print("no GPU here", file=sys.stderr)
    sys.exit(3)


ok = lambda **changes: lambda *call: put(right(*call, **changes))

# What it does when called.
CALLS = {
    "right": ok(),
    "another-id": ok(id="77"),
    "no-status": lambda asked, *_: put(frame(message_of({"id": asked["id"]}))),
    "another-status": ok(status="fine"),
    "notes-not-json": ok(notes="all well"),
    "refuses": ok(status="refused", message="k is odd\x1b[31m\nreally"),
    "notes": ok(notes='["x: the input was changed"]'),
    "path-name": named("../../etc/passwd"),
    "nul-name": named("W_dec\x00.npy"),
    "long-name": named("W" * 10_000),
    "proto-name": named("__proto__"),
    "other-dtype": named("W_dec", "F64"),
    "integer-dtype": named("W_dec", "I32"),
    "bool-dtype": named("W_dec", "F8_E4M3"),
    "wrong-shape": wrong_shape,
    "huge-shape": shape_of([2**53 - 1, 2**53 - 1]),
    "negative-shape": shape_of([-1, -1]),
    "missing": missing,
    "extra": extra,
    "nan": not_a_number,
    "empty-message": raw(b""),
    "text-message": raw(b"this is no safetensors file at all"),
    "nested-header": raw(struct.pack("<Q", 200_000) + b"[" * 200_000),
    "ten-gigabytes": lambda *_: put(START + struct.pack("<Q", 10 * 10**9) + b"x" * 100),
    "longest-length": lambda *_: put(START + b"\xff" * 8 + b"x" * 100),
    "never": sleep,
    "byte-by-byte": slowly(0),
    "too-slow": slowly(0.05),
    "third-call": third,
    "signal": by_signal,
    "garbage": garbage,
    "garbage-inside": lambda *call: put(right(*call)[:30] + b"epoch 1\n" + right(*call)[30:]),
    "twice": twice,
    "closes-stdout": close_stdout,
    "child-keeps-stdout": child_keeps_stdout,
    "child-leaves-group": child_leaves_group,
    "floods-stderr": flood_stderr,
    "floods-stderr-always": flood_always,
    "floods-stdout": flood_stdout,
    "ignores-sigterm": ignore_sigterm,
    "half": half,
    "late-death": late_death,
}

# What it does when asked for its hello.
HELLOS = {
    "hello-never": sleep,
    "hello-exit": exit_at_once,
    "hello-signal": by_signal,
    "hello-text": lambda: (put(b"Hello! I am a kernel.\n"), time.sleep(60)),
    "hello-flood": flood_stdout,
    "hello-no-name": lambda: put(hello_of(name=None)),
    "hello-cursor-name": lambda: put(hello_of(name="\x1b[2Jpass")),
    "hello-long-name": lambda: put(hello_of(name="n" * 100_000)),
    "hello-no-protocol": lambda: put(hello_of(protocol=None)),
    "hello-other-protocol": lambda: put(hello_of(protocol="2")),
    "hello-no-operators": lambda: put(hello_of(operators=None)),
    "hello-empty-operators": lambda: put(hello_of(operators="[]")),
    "hello-operators-not-json": lambda: put(hello_of(operators="normalise-rows")),
    "hello-operators-not-texts": lambda: put(hello_of(operators='[{"name": 1}]')),
    "hello-unknown-dtype": lambda: put(hello_of(dtypes='["float31"]')),
    "hello-truncates-text": lambda: put(hello_of(truncates="yes")),
    "hello-another-id": lambda: put(hello_of(id="1")),
    "hello-not-texts": lambda: put(frame(message_of({"id": 0, "protocol": 1}))),
    "hello-ten-gigabytes": lambda: put(START + struct.pack("<Q", 10 * 10**9)),
    "hello-skip": lambda: put(frame(message_of({"id": "0", "protocol": "1", "skip": "no CUDA device"}))),
    "hello-unknown-operator": lambda: put(hello_of(operators='["normalise-rows", "fold-proteins"]')),
    "hello-each-time-another": lambda: put(hello_of(name=f"number {os.getpid()}")),
}


def main():
    way = sys.argv[1]
    while True:
        asked, tensors, data = receive()
        if asked["operator"] != "hello":
            CALLS.get(way, half)(asked, tensors, data)
        elif way in HELLOS:
            HELLOS[way]()
        else:
            put(hello_of())


main()
