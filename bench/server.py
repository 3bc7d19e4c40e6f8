"""`fathom serve` as a child of a benchmark: on a free loopback port, with a database of its own."""

import json
import os
import re
import resource
import signal
import subprocess
import tempfile
import urllib.request
from pathlib import Path


class Server:
    """with Server(binary, ["-m", model]) as server: ... server.port, server.rss()"""

    def __init__(self, binary: str, arguments: list[str], open_files: int = 0):
        self.directory = tempfile.TemporaryDirectory()
        self.database = Path(self.directory.name) / "serve.db"
        self.binary = binary

        def allow_files() -> None:
            soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
            if open_files > soft:
                resource.setrlimit(resource.RLIMIT_NOFILE, (open_files, max(open_files, hard)))

        self.process = subprocess.Popen(
            [binary, "serve", "--port", "0", "--log", "none", "--database", self.database, *arguments],
            stderr=subprocess.PIPE, text=True, preexec_fn=allow_files)
        lines = []
        for line in self.process.stderr:
            lines.append(line)
            if served := re.search(r"is served at http://\S+:(\d+)", line):
                self.port = int(served[1])
                return
        raise SystemExit("the server did not start: " + "".join(lines))

    def __enter__(self) -> "Server":
        return self

    def __exit__(self, *exception) -> None:
        self.stop()
        self.directory.cleanup()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def stop(self) -> int:
        """Asks it to end, and returns its exit code."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            try:
                self.process.wait(timeout=120)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
        return self.process.returncode

    def rss(self) -> int:
        """Resident memory in bytes, without the pages of mapped files."""
        for line in Path(f"/proc/{self.process.pid}/status").read_text().splitlines():
            if line.startswith("RssAnon:"):
                return int(line.split()[1]) * 1024
        raise SystemExit("the server is gone")

    def metrics(self) -> dict[str, float]:
        with urllib.request.urlopen(self.url + "/metrics", timeout=60) as page:
            lines = page.read().decode().splitlines()
        return {name: float(value) for name, _, value in (line.rpartition(" ") for line in lines)
                if name and not name.startswith("#")}

    def usage(self) -> list[dict]:
        """The ledger, by day."""
        done = subprocess.run([self.binary, "usage", "--json", "--database", self.database],
                              capture_output=True, text=True, check=True, env=os.environ)
        return json.loads(done.stdout)
