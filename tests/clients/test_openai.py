"""The official openai package against fathom serve, as its users call it."""

import asyncio
import base64
import math
import struct
import urllib.request

import openai
import pytest

MESSAGES = [{"role": "system", "content": "You answer in one short sentence."},
            {"role": "user", "content": "What is the capital of France?"}]


def test_models(client):
    models = list(client.models.list())
    assert [model.id for model in models] == ["small"]
    assert client.models.retrieve("small").owned_by == "fathom"


def test_chat(client):
    answer = client.chat.completions.create(model="small", messages=MESSAGES, temperature=0,
                                            max_completion_tokens=32)
    choice = answer.choices[0]
    assert "Paris" in choice.message.content
    assert choice.message.role == "assistant"
    assert choice.finish_reason in ("stop", "length")
    assert answer.usage.total_tokens == answer.usage.prompt_tokens + answer.usage.completion_tokens
    assert answer.usage.prompt_tokens_details.cached_tokens >= 0


def test_streaming_says_the_same(client):
    options = dict(model="small", messages=MESSAGES, temperature=0, max_tokens=32)
    whole = client.chat.completions.create(**options)
    stream = client.chat.completions.create(**options, stream=True,
                                            stream_options={"include_usage": True})
    chunks = list(stream)
    text = "".join(c.choices[0].delta.content or "" for c in chunks if c.choices)
    assert text == whole.choices[0].message.content
    assert chunks[-1].usage.completion_tokens == whole.usage.completion_tokens
    reasons = [c.choices[0].finish_reason for c in chunks if c.choices]
    assert reasons[-1] == whole.choices[0].finish_reason
    assert all(reason is None for reason in reasons[:-1])


def test_streaming_helper(client):
    with client.chat.completions.stream(model="small", messages=MESSAGES, temperature=0,
                                        max_tokens=8) as stream:
        final = [event for event in stream] and stream.get_final_completion()
    assert final.choices[0].message.content


def test_logprobs(client):
    answer = client.chat.completions.create(model="small", messages=MESSAGES, temperature=0,
                                            max_tokens=8, logprobs=True, top_logprobs=5)
    tokens = answer.choices[0].logprobs.content
    assert len(tokens) == answer.usage.completion_tokens
    for token in tokens:
        assert len(token.top_logprobs) == 5
        assert token.logprob == max(other.logprob for other in token.top_logprobs)
        assert sum(math.exp(other.logprob) for other in token.top_logprobs) <= 1 + 1e-5
    text = b"".join(bytes(token.bytes) for token in tokens).decode(errors="replace")
    assert text.startswith(answer.choices[0].message.content)


def test_several_answers_and_seed(client):
    options = dict(model="small", messages=MESSAGES, temperature=1.2, max_tokens=12, n=3, seed=7)
    first = client.chat.completions.create(**options)
    again = client.chat.completions.create(**options)
    texts = [choice.message.content for choice in first.choices]
    assert texts == [choice.message.content for choice in again.choices]
    assert len(set(texts)) > 1
    assert [choice.index for choice in first.choices] == [0, 1, 2]


def test_stop(client):
    answer = client.chat.completions.create(model="small", messages=MESSAGES, temperature=0,
                                            max_tokens=32, stop=["Paris"])
    assert "Paris" not in answer.choices[0].message.content
    assert answer.choices[0].finish_reason == "stop"


def test_completions(client):
    answer = client.completions.create(model="small", prompt=["1, 2, 3, 4,", "a, b, c, d,"],
                                       temperature=0, max_tokens=6, logprobs=2)
    assert "5" in answer.choices[0].text
    assert "e" in answer.choices[1].text
    assert len(answer.choices[0].logprobs.token_logprobs) == 6
    streamed = client.completions.create(model="small", prompt="1, 2, 3, 4,", temperature=0,
                                         max_tokens=6, stream=True)
    assert "".join(chunk.choices[0].text for chunk in streamed) == answer.choices[0].text


def test_embeddings(client):
    texts = ["The cat sleeps on the sofa.", "A cat is sleeping on the couch.",
             "Interest rates rose by two percent."]
    # The package asks for base64 and decodes it; then for plain numbers.
    packed = client.embeddings.create(model="small", input=texts)
    plain = client.embeddings.create(model="small", input=texts, encoding_format="float")
    vectors = [item.embedding for item in packed.data]
    for vector, other in zip(vectors, (item.embedding for item in plain.data)):
        assert vector == pytest.approx(other, abs=1e-6)
        assert math.hypot(*vector) == pytest.approx(1, abs=1e-4)
    dot = lambda a, b: sum(x * y for x, y in zip(a, b))
    assert dot(vectors[0], vectors[1]) > dot(vectors[0], vectors[2])
    raw = client.embeddings.with_raw_response.create(model="small", input=texts[0],
                                                     encoding_format="base64").http_response.json()
    data = base64.b64decode(raw["data"][0]["embedding"])
    assert struct.unpack(f"<{len(data) // 4}f", data) == pytest.approx(vectors[0], abs=1e-6)


def test_responses(client):
    answer = client.responses.create(model="small", input="What is the capital of France?",
                                     instructions="Answer in one short sentence.", temperature=0,
                                     max_output_tokens=32)
    assert "Paris" in answer.output_text
    assert answer.usage.total_tokens == answer.usage.input_tokens + answer.usage.output_tokens
    stream = client.responses.create(model="small", input="What is the capital of France?",
                                     instructions="Answer in one short sentence.", temperature=0,
                                     max_output_tokens=32, stream=True)
    events = list(stream)
    text = "".join(e.delta for e in events if e.type == "response.output_text.delta")
    assert text == answer.output_text
    assert events[0].type == "response.created"
    assert events[-1].response.output_text == answer.output_text
    with client.responses.stream(model="small", input="Hello", max_output_tokens=5) as helper:
        for _ in helper:
            pass


def test_errors_have_openais_shape(client):
    with pytest.raises(openai.BadRequestError) as error:
        client.chat.completions.create(model="small", messages=MESSAGES, temperature=9)
    assert error.value.param == "temperature"
    assert error.value.type == "invalid_request_error"
    with pytest.raises(openai.NotFoundError) as error:
        client.chat.completions.create(model="gpt-4", messages=MESSAGES)
    assert error.value.code == "model_not_found"
    image = {"role": "user", "content": [
        {"type": "image_url", "image_url": {"url": "data:image/png;base64," + "A" * 10000}}]}
    with pytest.raises(openai.BadRequestError) as error:
        client.chat.completions.create(model="small", messages=[image])
    assert "Only text" in error.value.message


def test_many_at_once(address):
    async def ask_all():
        async with openai.AsyncOpenAI(base_url=address + "/v1", api_key="none") as client:
            async def ask(number):
                stream = await client.chat.completions.create(
                    model="small", temperature=0, max_tokens=12, stream=True,
                    messages=[{"role": "user", "content": f"Say the number {number}."}])
                return "".join([chunk.choices[0].delta.content or "" async for chunk in stream])
            together = await asyncio.gather(*(ask(number) for number in range(16)))
            alone = [await ask(number) for number in range(4)]
            return together, alone

    together, alone = asyncio.run(ask_all())
    assert together[:4] == alone


def test_a_client_that_leaves_frees_its_place(client, address):
    stream = client.chat.completions.create(model="small", messages=MESSAGES, temperature=1,
                                            max_tokens=4000, stream=True)
    next(iter(stream))
    stream.close()
    for _ in range(1000):
        if "\nfathom_batch_answers 0\n" in urllib.request.urlopen(address + "/metrics").read().decode():
            return
    pytest.fail("the answer is still running")
