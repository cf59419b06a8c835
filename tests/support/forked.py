"""Processes of the command in milliseconds: a client hands its streams to a server, which forks with all loaded.

What is at work is a process of its own, with the streams, folder, environment and file limit of the client: a pipe, a
terminal or a full disk is what it is. Only the start of the interpreter is saved; where that is the point, the command
is started as a process of Python (`command_line.fresh`). Signals that ask to end are passed on, and how it ended is how
the client ends. Run as a script with the path of a socket it is the client, with no argument the server.
"""

from __future__ import annotations

import _socket  # the module on top of it takes longer to load than the rest of the client
import os
import signal
import sys

STREAMS = (0, 1, 2)
_PASSED_ON = tuple(getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name))
_WIDTH = 4  # bytes of an int, as descriptors are passed


def client(path: str, arguments: list[str]) -> int:
    """Let the command run in a process of the server; return how it ended, as `wait` says."""
    import resource  # noqa: PLC0415 - not to be loaded by who asks for the path of this file alone

    streams = [number for number in STREAMS if _is_open(number)]
    connection = _socket.socket(_socket.AF_UNIX, _socket.SOCK_STREAM)
    connection.connect(path)
    parts = [
        *(str(number) for number in (len(streams), *streams, *resource.getrlimit(resource.RLIMIT_FSIZE))),
        os.getcwd(),  # noqa: PTH109 - pathlib takes longer to load than the rest
        str(len(arguments)),
        *arguments,
        *(f"{key}={value}" for key, value in os.environ.items()),
    ]
    message = os.fsencode("\0".join(parts))
    descriptors = b"".join(number.to_bytes(_WIDTH, sys.byteorder) for number in streams)
    # One byte always goes along with descriptors, also with none.
    connection.sendmsg([b"!"], [(_socket.SOL_SOCKET, _socket.SCM_RIGHTS, descriptors)] if streams else [])
    connection.sendall(len(message).to_bytes(8, "little") + message)
    running = int.from_bytes(connection.recv(8), "little")
    for number in _PASSED_ON:
        signal.signal(number, lambda number, _frame: os.kill(running, number))
    return int.from_bytes(connection.recv(8), "little")


def serve() -> None:
    """Fork for every client until standard input ends."""
    import select  # noqa: PLC0415 - not for the client
    import tempfile  # noqa: PLC0415
    from pathlib import Path  # noqa: PLC0415

    load()
    with tempfile.TemporaryDirectory(prefix="tokar-forked-") as folder:
        tempfile.tempdir = None  # the environment of the client says where it is
        listener = _socket.socket(_socket.AF_UNIX, _socket.SOCK_STREAM)
        listener.bind(str(Path(folder, "socket")))
        listener.listen(16)
        sys.stdout.write(f"{folder}/socket\n")
        sys.stdout.close()
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        while True:
            ready, _, _ = select.select([listener.fileno(), 0], [], [])
            if 0 in ready:
                return
            descriptor, _ = listener._accept()  # type: ignore[attr-defined] # what socket.accept wraps
            if not os.fork():
                listener.close()
                _attend(_socket.socket(fileno=descriptor))
            os.close(descriptor)
            while True:
                try:
                    if os.waitpid(-1, os.WNOHANG)[0] == 0:
                        break
                except ChildProcessError:
                    break


def load() -> None:
    """Import what any verb needs."""
    import importlib  # noqa: PLC0415

    from tokar.cli import VERBS, _command  # noqa: PLC0415

    for verb in VERBS:
        _command(verb)
    for module in ("numpy", "rich.progress", "rich.table", "tokar.ese.pages", "tokar.cli.progress", "tokar.cli.tables"):
        importlib.import_module(module)


def _attend(connection: _socket.socket) -> None:
    """Run the command for a client, wait for it, and say how it ended."""
    try:
        _, rights, _, _ = connection.recvmsg(1, _socket.CMSG_SPACE(len(STREAMS) * _WIDTH))
        data = b"".join(one for _, _, one in rights)
        passed = [int.from_bytes(data[at : at + _WIDTH], sys.byteorder) for at in range(0, len(data), _WIDTH)]
        size = int.from_bytes(_receive(connection, 8), "little")
        parts = os.fsdecode(_receive(connection, size)).split("\0")
        child = os.fork()
        if not child:
            connection.close()
            _become(parts, passed)
        connection.send(child.to_bytes(8, "little"))
        for descriptor in passed:
            os.close(descriptor)
        _, status = os.waitpid(child, 0)
        connection.send(status.to_bytes(8, "little"))
    finally:
        os._exit(0)


def _receive(connection: _socket.socket, size: int) -> bytes:
    data = b""
    while len(data) < size and (piece := connection.recv(size - len(data))):
        data += piece
    return data


def _become(parts: list[str], passed: list[int]) -> None:
    """Be the command that a client asked for, and end."""
    import resource  # noqa: PLC0415

    from tokar.__main__ import main  # noqa: PLC0415

    numbers, parts = [int(one) for one in parts[1 : int(parts[0]) + 3]], parts[int(parts[0]) + 3 :]
    *streams, soft, hard = numbers
    for number in STREAMS:
        if number not in streams:
            os.close(number)
    for number, descriptor in zip(streams, passed, strict=True):
        os.dup2(descriptor, number)
        os.close(descriptor)
    for number, (name, mode) in enumerate((("stdin", "r"), ("stdout", "w"), ("stderr", "w"))):
        made = None
        if _is_open(number):
            errors = "backslashreplace" if number == 2 else "strict"
            made = open(number, mode, 1 if number == 2 else -1, "utf-8", errors, closefd=False)  # noqa: SIM115 - it stays
        setattr(sys, name, made)
        setattr(sys, f"__{name}__", made)
    resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    signal.signal(signal.SIGINT, signal.default_int_handler)
    folder, count = parts[0], int(parts[1])
    os.chdir(folder)
    sys.argv = ["tokar", *parts[2 : count + 2]]
    os.environ.clear()
    os.environ.update(dict(one.split("=", 1) for one in parts[count + 2 :]))
    code = 1
    try:
        main()
        code = 0
    except SystemExit as ending:
        code = ending.code if isinstance(ending.code, int) else 0 if ending.code is None else 1
    except BaseException:  # noqa: BLE001 - what the interpreter would print
        sys.excepthook(*sys.exc_info())
    finally:
        for stream in (sys.stdout, sys.stderr):
            try:
                stream.flush()
            except (OSError, ValueError):
                code = code or 120  # as the interpreter does
        os._exit(code)


def _is_open(number: int) -> bool:
    try:
        os.fstat(number)
    except OSError:
        return False
    return True


if __name__ == "__main__":
    if len(sys.argv) == 1:
        serve()
    else:
        status = client(sys.argv[1], sys.argv[2:])
        if os.WIFSIGNALED(status):
            signal.signal(os.WTERMSIG(status), signal.SIG_DFL)
            os.kill(os.getpid(), os.WTERMSIG(status))
        os._exit(os.WEXITSTATUS(status))
