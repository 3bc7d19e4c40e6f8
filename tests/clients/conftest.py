"""The built binary serves the default model on a free loopback port: one server for nearly all tests."""

import os
import re
import signal
import subprocess
from contextlib import contextmanager
from pathlib import Path

import openai
import pytest

ROOT = Path(__file__).resolve().parents[2]
BINARY = Path(os.environ.get("FATHOM_BINARY", ROOT / "build" / "fathom"))


@contextmanager
def serve(folder, *options):
    process = subprocess.Popen(
        [BINARY, "serve", "--port", "0", "--name", "small", "--log", "none", "--database",
         folder / "serve.db", *options],
        stderr=subprocess.PIPE, text=True)
    try:
        lines = []
        for line in process.stderr:
            lines.append(line)
            if served := re.search(r"is served at (http://\S+)", line):
                yield served[1]
                break
        else:
            pytest.fail("the server did not start: " + "".join(lines))
        process.send_signal(signal.SIGTERM)
        assert process.wait(timeout=60) == 0
    finally:
        if process.poll() is None:
            process.kill()
            process.wait()


@pytest.fixture(scope="session")
def address(tmp_path_factory):
    with serve(tmp_path_factory.mktemp("serve")) as url:
        yield url


@pytest.fixture
def client(address):
    with openai.OpenAI(base_url=address + "/v1", api_key="none", max_retries=0) as made:
        yield made
