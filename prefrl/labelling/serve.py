"""Starts the label server of a run: one per run, with its render worker, its backups and a printed address."""

from __future__ import annotations

import json
import os
import secrets
import signal
import socket
import sys
import threading
import urllib.request
import webbrowser
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import uvicorn
from filelock import FileLock, Timeout

from prefrl.core.errors import UserError
from prefrl.labelling import service
from prefrl.labelling.access import Access
from prefrl.labelling.connections import guarded
from prefrl.runs import address
from prefrl.runs.address import Address


@dataclass(frozen=True)
class Options:
    """The options of `prefrl label`."""

    folder: Path
    port: int = 0
    host: str = "127.0.0.1"
    allow_remote: bool = False
    labeller: str | None = None
    browser: bool = True
    url: bool = False
    modules: Sequence[str] = ()
    store: str | None = None
    invites: Sequence[str] = ()
    beside_training: bool = False


def serve(options: Options) -> int:
    """Serve until stopped; if a server of this run exists already, print its address."""
    service.require_run(options.folder)
    if not address.is_loopback(options.host) and not options.allow_remote:
        raise UserError(
            f"--host {options.host} lets other machines reach the page, unencrypted, whoever has the token;"
            " say --allow-remote if that is meant. Safer: leave out --host and use the tunnel that"
            f" `prefrl label {options.folder} --url` prints"
        )
    lock = FileLock(options.folder / address.LOCK)
    try:
        lock.acquire(timeout=0)
    except Timeout:
        return _show_running(options)
    try:
        return _serve(options)
    finally:
        lock.release()


def _serve(options: Options) -> int:
    folder, crashed = options.folder, address.read(options.folder)
    listening = address.listen(options.host, options.port, folder, crashed.port if crashed else None)
    access = _access(options, listening.getsockname()[1], crashed)
    server = Address(options.host, access.port, access.token, os.getpid(), access.invites, options.beside_training)
    access.changed = lambda: server.write(folder)
    for name in options.invites:
        access.invite(name)
    server.write(folder)
    try:
        with service.opened(
            folder, access, modules=options.modules, store=options.store, labeller=options.labeller
        ) as app:
            _announce(server, options)
            if not options.beside_training:
                print("it is open until Ctrl-C; answers are stored as they are given", flush=True)
            return run_uvicorn(app, listening)
    finally:
        (folder / address.FILE).unlink(missing_ok=True)


def run_uvicorn(app: object, listening: socket.socket) -> int:
    """Answer requests until SIGINT or SIGTERM."""
    settings = uvicorn.Config(
        app,  # type: ignore[arg-type]
        http=guarded(),  # type: ignore[arg-type]
        ws="none", lifespan="off", loop="asyncio", log_level="error", access_log=False, server_header=False,
        timeout_keep_alive=30, timeout_graceful_shutdown=2, proxy_headers=False,
    )  # fmt: skip
    before = signal.signal(signal.SIGTERM, _end)  # uvicorn hands the signal on when it has finished
    try:
        uvicorn.Server(settings).run(sockets=[listening])
    except KeyboardInterrupt:
        print("\nlabelling ended; all answers are stored", file=sys.stderr)
    finally:
        signal.signal(signal.SIGTERM, before)
    return 0


def _end(number: int, _: object) -> None:
    raise SystemExit(128 + number)


def _access(options: Options, port: int, crashed: Address | None) -> Access:
    """The tokens of this server: those of a crashed one, if any, so that open pages stay valid."""
    remote = not address.is_loopback(options.host)
    name = socket.gethostname()
    names = (name, f"{name}.local", options.host) if remote else ()
    token = crashed.token if crashed else secrets.token_urlsafe(24)
    return Access(token, port, names, addresses=remote, invites=crashed.invites if crashed else None)


def _show_running(options: Options) -> int:
    """Print the address of the server that runs already, and have it invite people."""
    server = address.read(options.folder)
    if server is None:
        raise UserError(f"{options.folder} has a label server already, of another user or just starting")
    if not options.url and not options.invites:
        raise UserError(f"{options.folder} has a label server already, process {server.pid}: {server.url()}")
    for name in options.invites:
        server.invites[name] = _ask_to_invite(server, name)
    _announce(server, options)
    return 0


def _ask_to_invite(server: Address, name: str) -> str:
    host = "127.0.0.1" if address.is_wildcard(server.host) else server.name
    headers = {"Content-Type": "application/json", "X-Prefrl": "1", "Authorization": f"Bearer {server.token}"}
    body = json.dumps({"labeller": name}).encode()
    request = urllib.request.Request(f"http://{host}:{server.port}/api/invites", body, headers)
    try:
        with urllib.request.urlopen(request, timeout=10) as reply:
            return json.load(reply)["url"].partition("token=")[2]
    except OSError as fault:
        raise UserError(f"the label server of {server.url()} did not invite {name!r}: {fault}") from fault


def _announce(server: Address, options: Options) -> None:
    if options.beside_training:
        print()  # the trainer's progress bar is on this line
    print(f"label page:   {server.url()}")
    if address.is_loopback(server.host):
        print(f"from another machine, first:   {server.tunnel}\n  then open the same address there")
    else:
        print(f"anybody on the network who knows this address can label; it is not encrypted. Safer:   {server.tunnel}")
    if options.url:
        print(f"token:   {server.token}")
    for name in options.invites:
        print(f"for {name} alone:   {server.url(server.invites[name])}")
    sys.stdout.flush()
    if options.browser and not options.url and has_display():
        threading.Thread(target=webbrowser.open, args=(server.url(),), daemon=True).start()


def has_display() -> bool:
    """Whether a browser opened by this process appears on the user's own screen."""
    screen = sys.platform in ("darwin", "win32") or os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY")
    return bool(screen) and not os.environ.get("SSH_CONNECTION")
