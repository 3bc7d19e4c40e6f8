"""The official openai package for Node (node/test_openai.mjs), against the same server."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

FOLDER = Path(__file__).resolve().parent / "node"
INSTALLED = Path(os.environ.get("FATHOM_NODE_CLIENT", FOLDER))


@pytest.mark.skipif(shutil.which("node") is None or not (INSTALLED / "node_modules").is_dir(),
                    reason="needs node, and `npm ci` in tests/clients/node")
def test_openai_for_node(address, tool_address):
    # Node looks for packages beside the script.
    script = INSTALLED / "test_openai.mjs"
    if script.resolve() != (FOLDER / script.name).resolve():
        shutil.copyfile(FOLDER / script.name, script)
    done = subprocess.run(["node", "--test", script], cwd=INSTALLED, text=True, timeout=120,
                          env=os.environ | {"FATHOM_URL": address, "FATHOM_TOOL_URL": tool_address},
                          capture_output=True)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "# tests 0" not in done.stdout
