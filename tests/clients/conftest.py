"""Servers for all tests: the built binary with the default model, on free loopback ports."""

import contextlib
import os
import re
import signal
import subprocess
from pathlib import Path

import openai
import pytest

ROOT = Path(__file__).resolve().parents[2]
BINARY = Path(os.environ.get("FATHOM_BINARY", ROOT / "build" / "fathom"))


# SmolLM2's own template knows no tools. This one shows them as Hermes models have them.
TOOL_TEMPLATE = """{% if tools %}<|im_start|>system
Call functions by <tool_call>. Functions: {{ tools | tojson }}<|im_end|>
{% endif %}{% for m in messages %}<|im_start|>{{ m.role }}
{{ m.content or '' }}{% for call in m.tool_calls or [] %}<tool_call>
{"name": "{{ call.function.name }}", "arguments": {{ call.function.arguments | tojson }}}
</tool_call>{% endfor %}<|im_end|>
{% endfor %}{% if add_generation_prompt %}<|im_start|>assistant
{% endif %}"""


@contextlib.contextmanager
def launch(folder, *options):
    """A process and its address. Whoever has it may end it; it is killed otherwise."""
    process = subprocess.Popen(
        [BINARY, "serve", "--port", "0", "--name", "small", "--log", "none", "--database",
         folder / "serve.db", *options],
        stderr=subprocess.PIPE, text=True)
    try:
        lines = []
        for line in process.stderr:
            lines.append(line)
            if served := re.search(r"is served at (https?://\S+)", line):
                yield process, served[1]
                break
        else:
            pytest.fail("the server did not start: " + "".join(lines))
    finally:
        if process.poll() is None:
            process.kill()
        process.wait()


@contextlib.contextmanager
def serve(folder, *options):
    with launch(folder, *options) as (process, served):
        yield served
        process.send_signal(signal.SIGTERM)
        assert process.wait(timeout=60) == 0


@pytest.fixture(scope="session")
def address(tmp_path_factory):
    with serve(tmp_path_factory.mktemp("serve")) as served:
        yield served


@pytest.fixture(scope="session")
def tool_address(tmp_path_factory):
    folder = tmp_path_factory.mktemp("tools")
    (folder / "tools.jinja").write_text(TOOL_TEMPLATE)
    with serve(folder, "--chat-template", folder / "tools.jinja") as served:
        yield served


@pytest.fixture
def client(address):
    with openai.OpenAI(base_url=address + "/v1", api_key="none", max_retries=0) as made:
        yield made


@pytest.fixture
def tool_client(tool_address):
    with openai.OpenAI(base_url=tool_address + "/v1", api_key="none", max_retries=0) as made:
        yield made
