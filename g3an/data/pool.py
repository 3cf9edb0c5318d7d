"""Worker processes of which any may crash or hang without harm to the others.

``concurrent.futures`` gives up a whole pool when one of its processes dies, and decoders do die over damaged files.
Here each thread of the caller owns one process, talks to it in lines of JSON, and replaces it when it dies or takes too
long. The processes are started afresh rather than forked, so they inherit no reader, thread or lock, and the caller's
main module is not imported again.
"""

from __future__ import annotations

import json
import os
import queue
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import g3an
from g3an.errors import G3ANError

Task = dict[str, Any]

MEMORY = 8 * 2**30
"""Bytes of address space a worker may take, where the system can limit it."""

START_SECONDS = 120.0


class Lost(Exception):
    """A worker died or hung over a task; the message says which."""


class Worker:
    """A process that runs ``module.function(task)`` for each task it is sent."""

    def __init__(self, target: str) -> None:
        self.target = target
        self._messages = tempfile.TemporaryFile()  # closed in stop()
        package = str(Path(g3an.__file__).resolve().parents[1])
        paths = [package, *filter(None, [os.environ.get("PYTHONPATH")])]
        self._process = subprocess.Popen(
            # -P keeps modules that happen to lie in the current folder out.
            [sys.executable, "-P", "-c", "import sys; from g3an.data.pool import serve; serve(sys.argv[1])", target],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._messages,
            env={**os.environ, "PYTHONPATH": os.pathsep.join(paths), "OMP_NUM_THREADS": "1"},
            # In a group of its own, Ctrl-C reaches the caller alone, and a worker is killed together with its ffmpeg.
            start_new_session=True,
        )
        try:
            self._answer(START_SECONDS)
        except Lost as error:
            self._messages.seek(0)
            said = self._messages.read().decode(errors="replace").strip().splitlines()
            self.stop()
            raise G3ANError(f"A process for decoding does not start: {said[-1] if said else error}.") from error

    def ask(self, task: Task, timeout: float) -> Any:
        """Have a task done.

        Raises
        ------
        Lost
            The process died or took longer than ``timeout`` seconds; it is of no use any more.
        """
        assert self._process.stdin is not None
        with suppress(BrokenPipeError):  # a process that died is noticed by its missing answer
            self._process.stdin.write(json.dumps(task).encode() + b"\n")
            self._process.stdin.flush()
        return self._answer(timeout)

    def _answer(self, timeout: float) -> Any:
        assert self._process.stdout is not None
        late = threading.Event()

        def expire() -> None:
            late.set()
            self.kill()

        clock = threading.Timer(timeout, expire)
        clock.start()
        line = self._process.stdout.readline()
        clock.cancel()
        if line.endswith(b"\n"):
            return json.loads(line)
        self.kill()
        status = self._process.wait()
        if late.is_set():
            raise Lost(f"the decoder hung for {timeout:g} seconds")
        try:
            raise Lost(f"the decoder crashed ({signal.Signals(-status).name})")
        except ValueError:
            raise Lost(f"the decoder crashed (status {status})") from None

    def kill(self) -> None:
        """End the process and what it started, at once."""
        if self._process.returncode is not None:
            return  # its number may be another process's by now
        with suppress(ProcessLookupError, PermissionError):
            if hasattr(os, "killpg"):
                os.killpg(self._process.pid, signal.SIGKILL)
            else:
                self._process.kill()

    def stop(self) -> None:
        """End the process and free what belongs to it."""
        self.kill()
        self._process.wait()
        for stream in (self._process.stdin, self._process.stdout, self._messages):
            if stream is not None:
                with suppress(OSError):
                    stream.close()


def run_all(target: str, tasks: Sequence[Task], workers: int, timeout: float) -> Iterator[tuple[int, Any]]:
    """Do all tasks and give (number of the task, answer) as they finish; a task whose worker was lost gives ``Lost``.

    Parameters
    ----------
    target
        ``module:function`` from a task to an answer, both fit for JSON.
    timeout
        Seconds a task may take.

    Raises
    ------
    G3ANError
        Workers do not start at all.
    """
    waiting: queue.SimpleQueue[int] = queue.SimpleQueue()
    for number in range(len(tasks)):
        waiting.put(number)
    done: queue.SimpleQueue[tuple[int, Any]] = queue.SimpleQueue()
    over = threading.Event()

    def work() -> None:
        worker: Worker | None = None
        number = -1
        try:
            while not over.is_set():
                try:
                    number = waiting.get_nowait()
                except queue.Empty:
                    return
                worker = worker or Worker(target)
                current[threading.get_ident()] = worker
                try:
                    done.put((number, worker.ask(tasks[number], timeout)))
                except Lost as error:
                    worker.stop()
                    worker = None
                    done.put((number, error))
        except BaseException as error:  # nobody else would hear of it
            done.put((number, error))
        finally:
            if worker is not None:
                worker.stop()

    current: dict[int, Worker] = {}
    threads = [threading.Thread(target=work, daemon=True) for _ in range(min(workers, len(tasks)))]
    try:
        for thread in threads:
            thread.start()
        for _ in tasks:
            number, answer = done.get()
            if isinstance(answer, BaseException) and not isinstance(answer, Lost):
                raise answer
            yield number, answer
    finally:
        # Reached by Ctrl-C and by a caller that stops early, too.
        over.set()
        for worker in list(current.values()):
            worker.kill()
        for thread in threads:
            if thread.ident is not None:
                thread.join()


def serve(target: str) -> None:
    """The worker's side: answer each line of stdin by a line on what was stdout, until stdin ends."""
    # Libraries that print must not get between the answers.
    answers = os.fdopen(os.dup(1), "wb", buffering=0)
    os.dup2(2, 1)
    _limit_memory()
    module, _, name = target.partition(":")
    function = getattr(__import__(module, fromlist=[name]), name)
    answers.write(b'"ready"\n')
    for line in sys.stdin.buffer:
        answers.write(json.dumps(function(json.loads(line))).encode() + b"\n")


def _limit_memory() -> None:
    """Let a worker that a damaged header sends for terabytes fail alone."""
    with suppress(ImportError, ValueError, OSError):
        import resource

        _, hard = resource.getrlimit(resource.RLIMIT_AS)
        resource.setrlimit(resource.RLIMIT_AS, (MEMORY, hard))
