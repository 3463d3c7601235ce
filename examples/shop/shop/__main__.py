"""One process of the shop: `bin/serve`, started by bin/shopd, which hands over the listening socket."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
from pathlib import Path

from shop.app import Shop
from shop.orders import Orders
from shop.records import Logs
from shop.web import Server

PATIENCE = 1.2  # seconds for customers with an open connection to ask once more, when this process is to leave


def revision(folder: Path) -> str:
    """The revision of the release, or the name of its folder."""
    written = folder / "REVISION"
    return written.read_text().strip() if written.is_file() else folder.name


async def serve(folder: Path, listener: socket.socket) -> None:
    release = revision(folder)
    shop = Shop(release, Orders(folder / "var" / "orders.db"), Logs(folder / "log", release))
    server = Server(listener, shop.answer)
    leave = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, leave.set)
    await server.start()
    tell_ready()
    await leave.wait()
    await server.leave(PATIENCE)


def tell_ready() -> None:
    descriptor = int(os.environ["READY_FD"])
    os.write(descriptor, b"ready\n")
    os.close(descriptor)


def main() -> None:
    listener = socket.socket(fileno=int(os.environ["LISTEN_FD"]))
    asyncio.run(serve(Path.cwd(), listener))


if __name__ == "__main__":
    main()
