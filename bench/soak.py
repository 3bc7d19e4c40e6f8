#!/usr/bin/env python3
"""Mixed load, much of it unfriendly, and whether the server is as good afterwards as before
(docs/testing.md).

    python3 bench/soak.py build/fathom --seconds 3600 [--model MODEL] [--seed 1]
    python3 bench/soak.py build/fathom --idle 10000

Clients that stream, that leave in the middle of an answer or of a request, that send what is no
request, read slowly, or ask with huge prompts. At the end: no response was a 5xx, memory is within 2%
of its plateau, nothing runs or waits, no page of the cache is held, and the ledger has exactly the
requests that were answered. --idle opens so many connections instead, and says what one costs.
Python's own library is enough.

Both processes may be stopped for a while (SIGSTOP) and go on: the load then lasts that much longer,
and what was under way is forgiven, since both sides' clocks ran on.
"""

import argparse
import asyncio
import json
import random
import resource
import statistics
import sys
import time
from collections import Counter
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))
from server import Server  # noqa: E402

WORDS = ("river stone window garden letter market winter summer bridge island forest mountain "
         "station village teacher doctor engine paper music history science weather").split()
MALFORMED = [
    b"", b"{", b"[]", b"null", b'"text"', b"{\"messages\": 5}", b"{\"messages\": []}", b"\xff\xfe\x00",
    b'{"messages": [{"role": "wizard", "content": "a"}]}',
    b'{"messages": [{"role": "user", "content": 7}]}',
    b'{"messages": [{"role": "user", "content": "a"}], "temperature": "hot"}',
    b'{"messages": [{"role": "user", "content": "a"}], "max_tokens": -1}',
    b'{"messages": [{"role": "user", "content": "a"}], "n": 100000}',
    b'{"messages": [{"role": "user", "content": "a"}], "n": 1, "n": 2}',
    b'{"messages": [{"role": "user", "content": "\xc3\x28"}]}',
    b"[" * 100000,
]
RAW = [b"GET / HTTP/9.9\r\n\r\n", b"\x16\x03\x01\x02\x00\x01", b"POST\r\n\r\n", b"\r\n" * 100,
       b"GET /../../etc/passwd HTTP/1.1\r\nHost: a\r\n\r\n",
       b"POST /v1/chat/completions HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n"
       b"Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
       b"POST /v1/chat/completions HTTP/1.1\r\nHost: a\r\nContent-Length: -5\r\n\r\n",
       b"GET /health HTTP/1.1\r\nX: " + b"a" * 100000]


GRAMMARS = ["start: nothing", "start: (", "start: A\nA: /.*/" + " & /(.*x.*|[a-z]+)/" * 60,
            "start: " + "(" * 3000, 'start: /' + "a?" * 3000 + "/"]

# Whoever hears nothing of its own timer for so long was stopped.
PAUSE_SECONDS = 5


class Failed(Exception):
    """The server did what it must not."""


class Tally:
    def __init__(self) -> None:
        self.actions = Counter()
        self.statuses = Counter()
        self.answered = 0         # whole, with their usage
        self.completion_tokens = 0
        self.left = 0             # began to stream; the client went away before the end
        self.interrupted = 0      # under way when everything was stopped for a while, and lost by it


class Client:
    """One connection for one request."""

    def __init__(self, port: int, tally: Tally, small_buffer: bool = False):
        self.port, self.tally = port, tally
        self.limit = 1024 if small_buffer else 65536

    async def __aenter__(self) -> "Client":
        self.reader, self.writer = await asyncio.open_connection("127.0.0.1", self.port,
                                                                 limit=self.limit)
        return self

    async def __aexit__(self, *exception) -> None:
        self.writer.transport.abort()

    @staticmethod
    def request(path: str, body: bytes) -> bytes:
        return (f"POST {path} HTTP/1.1\r\nHost: soak\r\nContent-Type: application/json\r\n"
                f"Content-Length: {len(body)}\r\n\r\n").encode() + body

    async def send(self, data: bytes) -> None:
        self.writer.write(data)
        await self.writer.drain()

    async def head(self) -> tuple[int, bytes]:
        head = await self.reader.readuntil(b"\r\n\r\n")
        status = int(head.split(b" ", 2)[1])
        self.tally.statuses[status] += 1
        if status >= 500:
            raise Failed(f"status {status}: {head!r} {await self.reader.read(2000)!r}")
        return status, head.lower()

    async def chunk(self) -> bytes:
        size = int((await self.reader.readline()).strip() or b"0", 16)
        data = await self.reader.readexactly(size)
        await self.reader.readexactly(2)
        return data

    async def body(self, head: bytes, pause: float = 0) -> bytes:
        if b"transfer-encoding: chunked" not in head:
            length = int(head.split(b"content-length:")[1].split(b"\r\n")[0])
            return await self.reader.readexactly(length)
        parts = []
        while part := await self.chunk():
            parts.append(part)
            if pause:
                await asyncio.sleep(pause)
        return b"".join(parts)


class Soak:
    def __init__(self, port: int, seed: int, context: int):
        self.port = port
        self.random = random.Random(seed)
        self.context = context
        self.tally = Tally()
        self.until = 0.0
        self.paused = 0.0         # seconds in which everything was stopped
        self.last_pause = 0.0     # when the last of them ended
        self.actions = [(8, self.stream), (3, self.whole), (4, self.leave), (3, self.break_off),
                        (6, self.malformed), (3, self.raw), (2, self.slow_reader),
                        (1, self.huge_prompt), (1, self.too_long), (2, self.several),
                        (1, self.embeddings), (1, self.look), (2, self.formatted),
                        (1, self.bad_format)]

    def text(self, words: int) -> str:
        return " ".join(self.random.choice(WORDS) for _ in range(words))

    def chat(self, words: int, tokens: int, **more) -> bytes:
        return json.dumps({"messages": [{"role": "user", "content": self.text(words)}],
                           "max_tokens": tokens, **more}).encode()

    def streamed(self, words: int, tokens: int) -> bytes:
        return self.chat(words, tokens, stream=True, stream_options={"include_usage": True})

    def count(self, usage: dict) -> None:
        self.tally.answered += 1
        self.tally.completion_tokens += usage["completion_tokens"]

    async def finish_stream(self, client: Client, head: bytes, pause: float = 0) -> None:
        events = (await client.body(head, pause)).decode().split("\n\n")
        if events[-2] != "data: [DONE]":
            raise Failed(f"the stream ends with {events[-2]!r}")
        self.count(json.loads(events[-3].removeprefix("data: "))["usage"])

    async def answered(self, client: Client, path: str, body: bytes, wanted: int = 200) -> bytes:
        await client.send(client.request(path, body))
        status, head = await client.head()
        if status == 429 and wanted == 200:
            await client.body(head)
            await asyncio.sleep(0.5)
            return b""
        if status != wanted:
            raise Failed(f"{path}: status {status}, not {wanted}: {await client.body(head)!r}")
        return head

    async def stream(self) -> None:
        async with Client(self.port, self.tally) as client:
            words, tokens = self.random.randint(1, 80), self.random.randint(1, 48)
            head = await self.answered(client, "/v1/chat/completions", self.streamed(words, tokens))
            if head:
                await self.finish_stream(client, head)

    async def whole(self) -> None:
        async with Client(self.port, self.tally) as client:
            head = await self.answered(client, "/v1/chat/completions", self.chat(30, 20))
            if head:
                self.count(json.loads(await client.body(head))["usage"])

    async def several(self) -> None:
        async with Client(self.port, self.tally) as client:
            body = json.dumps({"prompt": [self.text(12), self.text(5)], "max_tokens": 12, "n": 1,
                               "best_of": 3}).encode()
            head = await self.answered(client, "/v1/completions", body)
            if head:
                self.count(json.loads(await client.body(head))["usage"])

    async def leave(self) -> None:
        """Reads a few events of a long answer and goes away."""
        async with Client(self.port, self.tally) as client:
            body = self.chat(20, 400, stream=True, ignore_eos=True)
            if await self.answered(client, "/v1/chat/completions", body):
                for _ in range(self.random.randint(1, 6)):
                    await client.chunk()
                self.tally.left += 1

    async def break_off(self) -> None:
        """Goes away in the middle of the request."""
        async with Client(self.port, self.tally) as client:
            data = client.request("/v1/chat/completions", self.streamed(200, 20))
            await client.send(data[:self.random.randrange(len(data) - 1)])

    async def malformed(self) -> None:
        async with Client(self.port, self.tally) as client:
            body = self.random.choice(MALFORMED)
            await client.body(await self.answered(client, "/v1/chat/completions", body, 400))

    async def raw(self) -> None:
        async with Client(self.port, self.tally) as client:
            await client.send(self.random.choice(RAW))
            client.writer.write_eof()
            got = await client.reader.read(65536)
            if got and not got.startswith((b"HTTP/1.1 4", b"HTTP/1.1 505")):  # version
                raise Failed(f"nonsense was answered with {got[:200]!r}")

    async def slow_reader(self) -> None:
        async with Client(self.port, self.tally, small_buffer=True) as client:
            head = await self.answered(client, "/v1/chat/completions", self.streamed(20, 40))
            if head:
                await self.finish_stream(client, head, pause=0.05)

    async def huge_prompt(self) -> None:
        """Half of what fits."""
        async with Client(self.port, self.tally) as client:
            head = await self.answered(client, "/v1/chat/completions",
                                       self.streamed(self.context // 3, 4))
            if head:
                await self.finish_stream(client, head)

    async def too_long(self) -> None:
        async with Client(self.port, self.tally) as client:
            body = self.chat(self.context * 2, 4)
            await client.body(await self.answered(client, "/v1/chat/completions", body, 400))

    async def embeddings(self) -> None:
        async with Client(self.port, self.tally) as client:
            body = json.dumps({"input": [self.text(10), self.text(20)]}).encode()
            head = await self.answered(client, "/v1/embeddings", body)
            if head:
                await client.body(head)
                self.tally.answered += 1

    async def formatted(self) -> None:
        """An answer that a schema binds, a new one each time."""
        async with Client(self.port, self.tally) as client:
            fields = {self.random.choice(WORDS): {"enum": ["yes", "no"]} for _ in range(3)}
            schema = {"type": "object", "properties": fields, "required": list(fields)}
            form = {"type": "json_schema", "json_schema": {"name": "s", "schema": schema}}
            head = await self.answered(client, "/v1/chat/completions",
                                       self.chat(20, 30, response_format=form))
            if head:
                self.count(json.loads(await client.body(head))["usage"])

    async def bad_format(self) -> None:
        async with Client(self.port, self.tally) as client:
            form = {"type": "grammar", "grammar": self.random.choice(GRAMMARS)}
            body = self.chat(5, 5, response_format=form)
            await client.body(await self.answered(client, "/v1/chat/completions", body, 400))

    async def look(self) -> None:
        async with Client(self.port, self.tally) as client:
            path = self.random.choice(["/metrics", "/health", "/v1/models", "/openapi.json"])
            await client.send(f"GET {path} HTTP/1.1\r\nHost: soak\r\n\r\n".encode())
            await client.body((await client.head())[1])

    async def worker(self) -> None:
        weights = [weight for weight, _ in self.actions]
        while time.monotonic() < self.until:
            action = self.random.choices(self.actions, weights)[0][1]
            self.tally.actions[action.__name__] += 1
            begin = time.monotonic()
            try:
                await asyncio.wait_for(action(), 300)
            except (Failed, TimeoutError, asyncio.IncompleteReadError, ConnectionError) as error:
                await asyncio.sleep(1)  # until watch() knows whether there was a pause
                if self.last_pause > begin:
                    self.tally.interrupted += 1
                elif isinstance(error, Failed):
                    raise
                else:
                    raise Failed(f"{action.__name__}: {type(error).__name__} {error}") from error

    async def fill(self, server: Server) -> None:
        """Until the cache of prefixes is full, and memory no longer grows for that."""
        for _ in range(100):
            await asyncio.gather(*(self.huge_prompt() for _ in range(3)))
            if server.metrics()["fathom_evicted_pages_total"] > 0:
                return
        raise Failed("the cache of prefixes does not become full")

    async def run(self, workers: int, seconds: float, server: Server) -> list[int]:
        """Returns the server's memory, half a second after half a second."""
        self.until = time.monotonic() + seconds
        samples = []

        async def watch() -> None:
            last = time.monotonic()
            while last < self.until:
                samples.append(server.rss())
                await asyncio.sleep(0.5)
                now = time.monotonic()
                if now - last > PAUSE_SECONDS:
                    self.paused += now - last
                    self.until += now - last
                    self.last_pause = now
                last = now

        await asyncio.gather(watch(), *(self.worker() for _ in range(workers)))
        return samples


def until_idle(server: Server) -> dict[str, float]:
    for _ in range(600):
        try:
            metrics = server.metrics()
        except TimeoutError:  # a pause
            continue
        if all(metrics[name] == 0 for name in ("fathom_batch_answers", "fathom_queue_answers",
                                               "fathom_kv_used_bytes")):
            return metrics
        time.sleep(0.1)
    raise SystemExit(f"soak: a minute after the last request something still runs: {metrics}")


def soak(options: argparse.Namespace) -> None:
    arguments = ["--kv-memory", "64M", "--context", str(options.context), "--max-running", "12",
                 "--max-waiting", "32"]
    if options.model:
        arguments += ["-m", options.model]
    with Server(options.binary, arguments) as server:
        load = Soak(server.port, options.seed, options.context)
        asyncio.run(load.fill(server))
        samples = asyncio.run(load.run(options.workers, options.seconds, server))
        metrics = until_idle(server)
        # A first third until buffers have their size.
        print(f"{options.seconds:g} s, {options.workers} clients at a time")
        third = len(samples) // 3
        plateau = statistics.median(samples[third:2 * third])
        final = statistics.median(samples[-third:])
        tally = load.tally
        print(f"{sum(tally.actions.values())} actions: {dict(tally.actions.most_common())}")
        print(f"statuses: {dict(sorted(tally.statuses.items()))}")
        if load.paused:
            print(f"stopped for {load.paused:.0f} s besides, which {tally.interrupted} requests did "
                  "not survive")
        print(f"memory: {plateau / 1e6:.1f} MB, then {final / 1e6:.1f} MB; "
              f"{metrics['fathom_evicted_pages_total']:.0f} pages evicted, "
              f"{metrics['fathom_preemptions_total']:.0f} preemptions, "
              f"{metrics['fathom_answers_cancelled_total']:.0f} answers cancelled")
        problems = []
        if final > plateau * 1.02:
            problems.append(f"memory grew by {100 * (final / plateau - 1):.1f}%: "
                            f"{[round(sample / 1e6, 1) for sample in samples[::max(1, third // 8)]]}")
        if metrics["fathom_answers_failed_total"] or metrics["fathom_ledger_lost_total"]:
            problems.append("an answer failed or was not written down")
        code = server.stop()
        if code != 0:
            problems.append(f"the server ended with exit code {code}")
        rows = server.usage()
        ledger = {name: sum(row[name] for row in rows)
                  for name in ("requests", "completion_tokens", "prompt_tokens", "failed")}
        print(f"ledger: {ledger}; the clients saw {tally.answered} whole answers with "
              f"{tally.completion_tokens} tokens and left {tally.left}")
        if ledger["failed"]:
            problems.append("the ledger has failed requests")
        known = tally.answered + tally.left
        if not known <= ledger["requests"] <= known + tally.interrupted:
            problems.append(f"the ledger has {ledger['requests']} requests, the clients {known}")
        if ledger["completion_tokens"] != metrics["fathom_answer_tokens_total"]:
            problems.append(f"the ledger has {ledger['completion_tokens']} tokens of answers, the "
                            f"engine {metrics['fathom_answer_tokens_total']:.0f}")
        if ledger["completion_tokens"] < tally.completion_tokens:
            problems.append("the ledger has fewer tokens than the clients saw")
        if problems:
            raise SystemExit("soak: " + "\nsoak: ".join(problems))
        print("soak: nothing leaked, nothing is left over, the ledger adds up")


def idle(options: argparse.Namespace) -> None:
    files = options.idle + 1024
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (files, max(files, hard)))
    arguments = ["-m", options.model] if options.model else []

    async def measure(server: Server) -> None:
        before = server.rss()
        tally = Tally()
        clients = []
        for _ in range(options.idle):
            client = await Client(server.port, tally).__aenter__()
            await client.send(b"GET /health HTTP/1.1\r\nHost: idle\r\n\r\n")
            await client.body((await client.head())[1])
            clients.append(client)
        open_now = server.metrics()["fathom_connections"]
        after = server.rss()
        print(f"{open_now:.0f} connections are open; {options.idle} idle ones cost "
              f"{(after - before) / 1e6:.1f} MB, {(after - before) / options.idle / 1e3:.2f} KB each")
        if open_now < options.idle:
            raise SystemExit("soak: some connections were closed")
        if after - before > 200e6 * options.idle / 10000:
            raise SystemExit("soak: that is more than 20 KB each")
        for client in clients:
            await client.__aexit__()

    with Server(options.binary, arguments, open_files=files) as server:
        asyncio.run(measure(server))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("binary")
    parser.add_argument("--seconds", type=float, default=300)
    parser.add_argument("--model", default="", help="the default model if left out")
    parser.add_argument("--context", type=int, default=2048)
    parser.add_argument("--workers", type=int, default=16)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--idle", type=int, default=0, help="open so many connections instead")
    options = parser.parse_args()
    try:
        idle(options) if options.idle else soak(options)
    except Failed as failure:
        raise SystemExit(f"soak: {failure}") from failure


if __name__ == "__main__":
    main()
