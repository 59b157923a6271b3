#!/usr/bin/env python3
"""What a publication costs the server between hosts: Redis, which keeps, numbers and sends it by one script as the
broker does, beside NATS, which sends it (core), or keeps and sends it (JetStream).

    apt-get install redis-server nats-server
    tests/bench/engines.py [--listeners N] [publications a second …]

One connection publishes to 100 rooms, others hear all of them; more than one tells what each further host costs. Prints the time from one to the other, and the CPU time
of the server for each publication. Servers, publisher and listener share the machine's cores.
"""

import json
import os
import socket
import subprocess
import sys
import tempfile
import threading
import time

ROOMS = 100
SIZE = 200
SECONDS = 5
SCRIPT = b"""
local top = redis.call('HINCRBY', KEYS[1], 'top', 1)
redis.call('XADD', KEYS[2], 'MAXLEN', '100', top .. '-0', 'r', ARGV[1])
redis.call('PEXPIRE', KEYS[2], 86400000)
redis.call('SPUBLISH', KEYS[3], ARGV[1])
return top
"""


def free_port():
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


def connect(port):
    until = time.monotonic() + 10
    while True:
        try:
            stream = socket.create_connection(("127.0.0.1", port))
            break
        except ConnectionRefusedError:
            if time.monotonic() > until:
                raise
            time.sleep(0.02)
    stream.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return stream, stream.makefile("rb")


def cpu(process):
    with open(f"/proc/{process.pid}/stat") as stat:
        fields = stat.read().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


class Nats:
    """`kept`: by JetStream, in a file, and acknowledged."""

    def __init__(self, folder, kept):
        self.kept, port = kept, free_port()
        stored = ["-js", "-sd", folder] if kept else []
        self.process = subprocess.Popen(
            ["nats-server", "-a", "127.0.0.1", "-p", str(port), *stored],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        self.speaker, self.answers = self.open(port)
        self.listener, self.heard = self.open(port)
        if kept:
            stream = {"name": "rooms", "subjects": ["r.*"], "storage": "file", "max_msgs_per_subject": 100}
            body = json.dumps(stream).encode()
            self.speaker.sendall(b"SUB in 1\r\nPUB $JS.API.STREAM.CREATE.rooms in %d\r\n%s\r\n" % (len(body), body))
            self.message(self.speaker, self.answers)
        self.port = port
        self.listener.sendall(b"SUB r.* 2\r\nPING\r\n")
        assert self.heard.readline().startswith(b"PONG")

    def also(self):
        """Another that hears everything; what comes is dropped."""
        stream, lines = self.open(self.port)
        stream.sendall(b"SUB r.* 2\r\nPING\r\n")
        assert lines.readline().startswith(b"PONG")
        return stream

    def open(self, port):
        stream, lines = connect(port)
        lines.readline()
        stream.sendall(b'CONNECT {"verbose":false}\r\nPING\r\n')
        assert lines.readline().startswith(b"PONG")
        return stream, lines

    def message(self, stream, lines):
        while True:
            head = lines.readline().split()
            if head[0] == b"MSG":
                return lines.read(int(head[-1]) + 2)
            if head[0] == b"PING":
                stream.sendall(b"PONG\r\n")

    def publish(self, room, body):
        answer = b"in " if self.kept else b""
        self.speaker.sendall(b"PUB r.%d %s%d\r\n%s\r\n" % (room, answer, len(body), body))

    def hear(self):
        return self.message(self.listener, self.heard)

    def acknowledged(self):
        if self.kept:
            self.message(self.speaker, self.answers)


class Redis:
    def __init__(self, folder):
        port = free_port()
        arguments = ["--port", str(port), "--bind", "127.0.0.1", "--save", "", "--appendonly", "yes", "--dir", folder]
        self.process = subprocess.Popen(["redis-server", *arguments], stdout=subprocess.DEVNULL)
        self.speaker, self.answers = connect(port)
        self.listener, self.heard = connect(port)
        self.port = port
        self.speaker.sendall(self.command(b"SCRIPT", b"LOAD", SCRIPT))
        self.answers.readline()
        self.script = self.answers.readline().strip()
        self.subscribe(self.listener, self.heard)

    def subscribe(self, stream, lines):
        stream.sendall(self.command(b"SSUBSCRIBE", *(b"{%d}" % room for room in range(ROOMS))))
        for _ in range(ROOMS):
            while not lines.readline().startswith(b":"):
                pass

    def also(self):
        """Another that hears everything; what comes is dropped."""
        stream, lines = connect(self.port)
        self.subscribe(stream, lines)
        return stream

    @staticmethod
    def command(*parts):
        return b"*%d\r\n" % len(parts) + b"".join(b"$%d\r\n%s\r\n" % (len(part), part) for part in parts)

    def publish(self, room, body):
        name = b"{%d}" % room
        keys = (name + b"meta", name + b"log", name)
        self.speaker.sendall(self.command(b"EVALSHA", self.script, b"3", *keys, body))

    def hear(self):
        while not self.heard.readline().startswith(b"$%d" % SIZE):
            pass
        return self.heard.readline()

    def acknowledged(self):
        self.answers.readline()


def drop(stream):
    while stream.recv(1 << 20):
        pass


def measure(name, engine, rate, listeners):
    count, times = rate * SECONDS, []
    for _ in range(listeners - 1):
        threading.Thread(target=drop, args=(engine.also(),), daemon=True).start()

    def listen():
        for _ in range(count):
            sent = float(engine.hear()[:20])
            times.append(time.time() - sent)

    def count_answers():
        for _ in range(count):
            engine.acknowledged()

    threads = [threading.Thread(target=work, daemon=True) for work in (listen, count_answers)]
    for thread in threads:
        thread.start()
    before, start = cpu(engine.process), time.monotonic()
    for number in range(count):
        while time.monotonic() < start + number / rate:
            time.sleep(0.0001)
        engine.publish(number % ROOMS, (b"%020.6f" % time.time()).ljust(SIZE, b"x"))
    for thread in threads:
        thread.join()
    cost = (cpu(engine.process) - before) / count * 1e6
    engine.process.kill()
    engine.process.wait()
    times.sort()
    p50, p99 = (times[int(count * part)] * 1e3 for part in (0.5, 0.99))
    print(f"{rate:>6}/s  {name:<24}  p50 {p50:.2f} ms  p99 {p99:.2f} ms  {cost:.0f} µs of the server each")


def main():
    arguments, listeners = sys.argv[1:], 1
    if arguments[:1] == ["--listeners"]:
        listeners, arguments = int(arguments[1]), arguments[2:]
    for rate in [int(rate) for rate in arguments] or [1_000, 5_000]:
        for name, start in [
            ("NATS, sent", lambda folder: Nats(folder, False)),
            ("NATS JetStream, kept", lambda folder: Nats(folder, True)),
            ("Redis, kept and numbered", Redis),
        ]:
            with tempfile.TemporaryDirectory() as folder:
                measure(name, start(folder), rate, listeners)


main()
