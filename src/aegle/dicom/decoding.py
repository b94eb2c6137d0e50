"""Decoding of foreign data in a child process that may crash, hang or run out of memory.

One process serves many frames, since starting it costs about as much as hundreds of them.
It ends with this process, whatever ends it, because its input ends then.
"""

import atexit
import json
import os
import select
import subprocess
import sys
import threading
import time
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from aegle.dicom.decoding_child import FAILED, HEAD

MEMORY_MIB = 768
"""What the child may use beyond what its libraries take."""
START_DEADLINE_S = 60.0
DEADLINE_S = 3.0
DEADLINE_PER_MEGAPIXEL_S = 0.5

_CHILD = Path(__file__).with_name("decoding_child.py")
_CHUNK = 1 << 20


class Refused(Exception):  # noqa: N818  (becomes a FileError where the file is known)
    """The data could not be decoded; the text says why."""


@dataclass(frozen=True, kw_only=True)
class FrameFacts:
    """What a codec must know of a frame."""

    codec: str
    rows: int
    columns: int
    samples: int
    bits_allocated: int
    photometric: str


class Decoder:
    """A child process that decodes; started when needed, safe to use from several threads."""

    def __init__(self, *, memory_mib: int = MEMORY_MIB, deadline_s: float = DEADLINE_S) -> None:
        self._memory_mib = memory_mib
        self._deadline_s = deadline_s
        self._lock = threading.Lock()
        self._child: subprocess.Popen[bytes] | None = None
        self._owner = os.getpid()

    def frame(self, data: bytes, facts: FrameFacts) -> NDArray[Any]:
        """Return the pixels of one frame as its codec gives them.

        Raises:
            Refused: The codec failed, crashed, took too long or needed too much memory.
        """
        megapixels = facts.rows * facts.columns / 1e6
        deadline_s = self._deadline_s + DEADLINE_PER_MEGAPIXEL_S * megapixels
        found, content = self._ask(0, vars(facts), data, deadline_s)
        return np.frombuffer(content, np.dtype(found["type"])).reshape(found["shape"])

    def elements(self, data: bytes) -> tuple[str, bool, bytes]:
        """Return transfer syntax, byte order (True: little) and elements, as pydicom finds them.

        Raises:
            Refused: pydicom failed, took too long or needed too much memory.
        """
        found, content = self._ask(1, {}, data, self._deadline_s)
        return found["syntax"], found["little"], bytes(content)

    def stop(self) -> None:
        """End the child, if there is one; a forked copy leaves it to its owner."""
        if os.getpid() != self._owner:
            return
        with self._lock:
            self._kill()

    @property
    def process_id(self) -> int | None:
        """Of the child; None if none runs."""
        return self._child.pid if self._child else None

    def _ask(
        self, kind: int, facts: dict[str, Any], data: bytes, deadline_s: float
    ) -> tuple[dict[str, Any], bytearray]:
        text = json.dumps({**facts, "deadline_s": deadline_s + 1.0}).encode()
        with self._lock:
            child = self._child or self._start()
            try:
                until = time.monotonic() + deadline_s
                _send(child, HEAD.pack(kind, len(text), len(data)) + text, until)
                _send(child, data, until)
                status, found, content = _receive(child, until)
            except (TimeoutError, OSError, EOFError) as error:
                raise Refused(self._end_of(child, error)) from error
            except BaseException:
                # Interrupted half way, requests and answers no longer belong together.
                self._kill()
                raise
        if status == FAILED:
            raise Refused(found["reason"])
        return found, content

    def _start(self) -> subprocess.Popen[bytes]:
        environment = {**os.environ, "OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1"}
        child = subprocess.Popen(
            [sys.executable, "-P", str(_CHILD), str(self._memory_mib)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env=environment,
        )
        self._child = child
        assert child.stdin is not None
        assert child.stdout is not None
        os.set_blocking(child.stdin.fileno(), False)
        os.set_blocking(child.stdout.fileno(), False)
        try:
            _receive(child, time.monotonic() + START_DEADLINE_S)
        except (TimeoutError, OSError, EOFError) as error:
            raise Refused(self._end_of(child, error)) from error
        return child

    def _end_of(self, child: subprocess.Popen[bytes], error: Exception) -> str:
        """Stop the child and say what became of it."""
        if isinstance(error, TimeoutError):
            self._kill()
            return "decoding took too long"
        try:
            code = child.wait(timeout=1.0)
        except subprocess.TimeoutExpired:
            code = 0
        self._kill()
        return f"the decoder crashed (signal {-code})" if code < 0 else "the decoder stopped"

    def _kill(self) -> None:
        child, self._child = self._child, None
        if child is None:
            return
        child.kill()
        child.wait()
        for pipe in (child.stdin, child.stdout):
            if pipe is not None:
                _close(pipe)


def _close(pipe: Any) -> None:
    try:
        pipe.close()
    except OSError:
        return


def _send(child: subprocess.Popen[bytes], data: bytes, until: float) -> None:
    assert child.stdin is not None
    descriptor = child.stdin.fileno()
    rest = memoryview(data)
    while rest:
        _, ready, _ = select.select([], [descriptor], [], max(until - time.monotonic(), 0))
        if not ready:
            raise TimeoutError
        rest = rest[os.write(descriptor, rest[:_CHUNK]) :]


def _receive(child: subprocess.Popen[bytes], until: float) -> tuple[int, dict[str, Any], bytearray]:
    status, text_size, size = HEAD.unpack(_take(child, HEAD.size, until))
    facts = json.loads(_take(child, text_size, until))
    return status, facts, _take(child, size, until)


def _take(child: subprocess.Popen[bytes], count: int, until: float) -> bytearray:
    assert child.stdout is not None
    descriptor = child.stdout.fileno()
    content = bytearray(count)
    rest = memoryview(content)
    while rest:
        ready, _, _ = select.select([descriptor], [], [], max(until - time.monotonic(), 0))
        if not ready:
            raise TimeoutError
        got = os.readv(descriptor, [rest[:_CHUNK]])
        if got == 0:
            raise EOFError
        rest = rest[got:]
    return content


@cache
def _decoder_of(process_id: int) -> Decoder:
    """Return the decoder of this process: a forked copy must not share its pipes."""
    assert process_id == os.getpid()
    decoder = Decoder()
    atexit.register(decoder.stop)
    return decoder


def shared_decoder() -> Decoder:
    """Return the decoder that the whole process shares; it is stopped at exit."""
    return _decoder_of(os.getpid())
