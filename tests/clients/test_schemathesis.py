"""Schemathesis reads /openapi.json and asks what the document allows, and what it does not: never
may the server answer with a 5xx, with what is no JSON, or not at all."""

import subprocess
import sys
from pathlib import Path

from conftest import serve

CHECKS = "not_a_server_error,status_code_conformance,content_type_conformance," \
         "response_schema_conformance"


def test_no_request_breaks_the_server(tmp_path):
    tool = Path(sys.executable).with_name("schemathesis")
    # It likes answers without a limit, which end with the context. One worker: Python 3.11's ast.parse,
    # which it uses, fails now and then where two threads are in it.
    with serve(tmp_path, "--context", "192") as address:
        done = subprocess.run(
            [tool, "run", address + "/openapi.json", "--checks", CHECKS, "--max-examples", "6",
             "--seed", "1", "--workers", "1", "--phases", "examples,coverage,fuzzing",
             "--request-timeout", "60", "--max-time", "60", "--generation-database", "none",
             "--no-color"],
            cwd=tmp_path, text=True, capture_output=True, timeout=300)
    assert done.returncode == 0, done.stdout[-8000:] + done.stderr[-2000:]
