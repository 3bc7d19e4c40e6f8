"""What an operator relies on, with processes, signals and certificates as they are."""

import json
import signal
import ssl
import subprocess
import time

import openai
import pytest

from conftest import BINARY, launch

MESSAGES = [{"role": "user", "content": "Count to ten."}]


def client_of(address, **options):
    return openai.OpenAI(base_url=address + "/v1", max_retries=0, **{"api_key": "none", **options})


def trusting(folder):
    return {"http_client": openai.DefaultHttpxClient(
        verify=ssl.create_default_context(cafile=folder / "cert.pem"))}


def is_refused(address):
    try:
        with client_of(address) as client:
            client.models.list()
    except (openai.APIConnectionError, openai.InternalServerError):
        return True
    return False


def requests_in(folder):
    done = subprocess.run([BINARY, "usage", "--json", "--database", folder / "serve.db"],
                          capture_output=True, text=True, check=True)
    return sum(row["requests"] for row in json.loads(done.stdout))


def test_a_server_that_is_killed_keeps_the_requests_it_answered(tmp_path):
    with launch(tmp_path) as (process, address), client_of(address) as client:
        for _ in range(3):
            client.chat.completions.create(model="small", messages=MESSAGES, max_tokens=2)
        time.sleep(1)
        process.kill()
        process.wait()
    assert requests_in(tmp_path) == 3


def test_a_stop_lets_an_answer_end_and_takes_no_other(tmp_path):
    with launch(tmp_path) as (process, address), client_of(address) as client:
        stream = iter(client.chat.completions.create(
            model="small", messages=MESSAGES, max_tokens=300, temperature=0, stream=True,
            extra_body={"ignore_eos": True}))
        next(stream)
        process.send_signal(signal.SIGTERM)
        while not is_refused(address):
            assert process.poll() is None
        chunks = list(stream)
        assert chunks[-1].choices[0].finish_reason == "length"
        assert process.wait(timeout=60) == 0
    assert requests_in(tmp_path) == 1


def test_keys_have_limits_also_over_tls(tmp_path):
    subprocess.run(["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "1", "-subj", "/CN=localhost",
                    "-addext", "subjectAltName=IP:127.0.0.1", "-keyout", tmp_path / "key.pem", "-out",
                    tmp_path / "cert.pem"], check=True, capture_output=True)
    made = subprocess.run([BINARY, "keys", "create", "alice", "--requests-per-minute", "2", "--database",
                           tmp_path / "serve.db"], check=True, capture_output=True, text=True)
    options = ("--auth", "--tls-cert", tmp_path / "cert.pem", "--tls-key", tmp_path / "key.pem")
    with launch(tmp_path, *options) as (_, address):
        assert address.startswith("https://")
        with pytest.raises(openai.APIConnectionError):
            client_of(address).models.list()  # knows no such certificate
        with client_of(address, **trusting(tmp_path)) as stranger, pytest.raises(openai.AuthenticationError):
            stranger.models.list()
        with client_of(address, api_key=made.stdout.strip(), **trusting(tmp_path)) as client:
            for _ in range(2):
                client.chat.completions.create(model="small", messages=MESSAGES, max_tokens=2)
            with pytest.raises(openai.RateLimitError) as error:
                client.chat.completions.create(model="small", messages=MESSAGES, max_tokens=2)
            assert 1 <= int(error.value.response.headers["Retry-After"]) <= 60
