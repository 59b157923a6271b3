#!/usr/bin/env python3
"""What TLS costs a host: its processor time per delivery, with one message in flight to all members of a room.

    tests/bench/tls.py [MEMBERS [MESSAGES]]

Three rounds, plain and by TLS in turns. The host (`target/release/sschat`) is on core 0, this program on core 1.
"""

import asyncio
import json
import os
import ssl
import statistics
import struct
import subprocess
import sys
import tempfile

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
HOST = os.path.join(ROOT, "target/release/sschat")
MEMBERS = int(sys.argv[1]) if len(sys.argv) > 1 else 200
MESSAGES = int(sys.argv[2]) if len(sys.argv) > 2 else 600
ROUNDS = 3
MARK = b"PAYLOAD"
CERTIFY = (
    "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 -keyout key.pem -out cert.pem "
    "-subj /CN=localhost -addext subjectAltName=DNS:localhost,IP:127.0.0.1"
)


def processor_time(pid):
    """Seconds of a process, its own and the kernel's for it."""
    with open(f"/proc/{pid}/stat") as stat:
        fields = stat.read().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def frame(command):
    """A masked text frame (RFC 6455, section 5.2)."""
    payload, mask = json.dumps(command).encode(), b"\1\2\3\4"
    length = len(payload)
    head = bytes([0x81, 0x80 | length]) if length < 126 else bytes([0x81, 0xFE]) + struct.pack(">H", length)
    return head + mask + bytes(byte ^ mask[at % 4] for at, byte in enumerate(payload))


class Host:
    """A host on core 0, plain or with TLS, and an app with one user in one room."""

    def __init__(self, folder, secure):
        self.context = None
        arguments = ["up", "--from", ROOT, "--listen", "127.0.0.1:0", "--history", "none", "--shards", "1"]
        arguments += ["--state-dir", tempfile.mkdtemp(dir=folder)]
        if secure:
            arguments += ["--tls-cert", f"{folder}/cert.pem", "--tls-key", f"{folder}/key.pem"]
            self.context = ssl.create_default_context(cafile=f"{folder}/cert.pem")
        command = ["taskset", "-c", "0", HOST, *arguments]
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
        banner = next(line for line in self.process.stdout if "://127.0.0.1:" in line)
        self.port = int(banner.split("127.0.0.1:")[1].split("/")[0])

    async def connect(self):
        return await asyncio.open_connection("127.0.0.1", self.port, ssl=self.context)

    async def call(self, method, path):
        reader, writer = await self.connect()
        head = f"{method} {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nContent-Length: 0\r\n\r\n"
        writer.write(head.encode())
        answer = await reader.read()
        writer.close()
        return json.loads(answer.split(b"\r\n\r\n", 1)[1])

    async def member(self, user, path):
        reader, writer = await self.connect()
        head = (
            f"GET {path} HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"
        )
        writer.write(head.encode())
        await reader.readuntil(b"\r\n\r\n")
        writer.write(frame({"command": "login", "user": user}))
        return reader, writer


async def measure(folder, secure):
    """Microseconds of the host per delivery."""
    host = Host(folder, secure)
    key = (await host.call("POST", "/api/register"))["api_key"]
    room = (await host.call("POST", f"/api/room?apikey={key}"))["room_id"]
    user = (await host.call("POST", f"/api/user?apikey={key}"))["user_id"]
    await host.call("PUT", f"/api/room/{room}/{user}/add?apikey={key}")
    heard, writers, tasks = 0, [], []

    async def listen(reader):
        nonlocal heard
        while data := await reader.read(1 << 18):
            heard += data.count(MARK)

    for _ in range(MEMBERS):
        reader, writer = await host.member(user, "/websocket/polling?format=text")
        writers.append(writer)
        tasks.append(asyncio.create_task(listen(reader)))
    reader, speaker = await host.member(user, "/websocket/polling")
    await reader.read(1)
    await asyncio.sleep(1)
    before = processor_time(host.process.pid)
    message = frame({"command": "room", "room": room, "msg": MARK.decode() + "x" * 57})
    for number in range(1, MESSAGES + 1):
        speaker.write(message)
        while heard < MEMBERS * number:
            await asyncio.sleep(0)
    spent = processor_time(host.process.pid) - before
    host.process.kill()
    host.process.wait()
    await asyncio.gather(*tasks, return_exceptions=True)
    return spent / (MEMBERS * MESSAGES) * 1e6


def main():
    os.sched_setaffinity(0, {1})
    with tempfile.TemporaryDirectory() as folder:
        subprocess.run(CERTIFY, shell=True, check=True, cwd=folder, stderr=subprocess.DEVNULL)
        found = {"plain": [], "tls": []}
        for _ in range(ROUNDS):
            for name, spent in found.items():
                spent.append(asyncio.run(measure(folder, name == "tls")))
                print(f"{name:6} {spent[-1]:.2f} µs per delivery", flush=True)
        for name, spent in found.items():
            print(f"{name:6} median {statistics.median(spent):.2f} µs")


main()
