import asyncio
import socket
import unittest

from shop.web import Request, Response, Server


async def echo(request: Request) -> Response:
    if request.path == "/slow":
        await asyncio.sleep(0.1)
    return Response(200, f"{request.method} {request.path} {request.form.get('x', '')}", "text/plain")


async def read(reader):
    head = (await reader.readuntil(b"\r\n\r\n")).decode()
    length = next(int(line.split(":")[1]) for line in head.split("\r\n") if line.lower().startswith("content-length"))
    return head, (await reader.readexactly(length)).decode()


class Web(unittest.IsolatedAsyncioTestCase):
    async def asyncSetUp(self):
        listener = socket.create_server(("127.0.0.1", 0))
        self.port = listener.getsockname()[1]
        self.server = Server(listener, echo)
        await self.server.start()
        self.reader, self.writer = await asyncio.open_connection("127.0.0.1", self.port)

    async def asyncTearDown(self):
        self.writer.close()
        await self.server.leave(0.2)

    async def ask(self, text):
        self.writer.write(text.encode())
        return await read(self.reader)

    async def test_two_requests_on_one_connection(self):
        self.assertEqual((await self.ask("GET /a HTTP/1.1\r\n\r\n"))[1], "GET /a ")
        self.assertEqual((await self.ask("POST /b HTTP/1.1\r\nContent-Length: 3\r\n\r\nx=1"))[1], "POST /b 1")

    async def test_nonsense_is_not_understood(self):
        head, _ = await self.ask("HELLO\r\n\r\n")
        self.assertIn("400", head)

    async def test_a_body_has_a_limit(self):
        head, _ = await self.ask("POST / HTTP/1.1\r\nContent-Length: 99999999\r\n\r\n")
        self.assertIn("400", head)

    async def test_who_leaves_answers_first(self):
        self.writer.write(b"GET /slow HTTP/1.1\r\n\r\n")
        await asyncio.sleep(0.02)
        leaving = asyncio.create_task(self.server.leave(1))
        head, body = await read(self.reader)
        self.assertEqual(body, "GET /slow ")
        self.assertIn("Connection: close", head)
        await asyncio.wait_for(leaving, 0.5)

    async def test_a_kept_connection_may_ask_once_more(self):
        await self.ask("GET /a HTTP/1.1\r\n\r\n")
        leaving = asyncio.create_task(self.server.leave(1))
        await asyncio.sleep(0.02)
        head, body = await self.ask("GET /b HTTP/1.1\r\n\r\n")
        self.assertEqual(body, "GET /b ")
        self.assertIn("Connection: close", head)
        await asyncio.wait_for(leaving, 0.5)
