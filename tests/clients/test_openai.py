"""The official openai package against fathom serve, as its users call it."""

import asyncio
import base64
import json
import math
import re
import struct
import urllib.request

import openai
import pydantic
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


class Verdict(pydantic.BaseModel):
    country: str = pydantic.Field(max_length=40)
    is_capital: bool
    letters: list[str] = pydantic.Field(max_length=3)


def test_structured_output(client):
    question = [{"role": "user", "content": "Is Paris a capital, and of which country? Use JSON."}]
    answer = client.chat.completions.parse(model="small", messages=question, temperature=0,
                                           max_tokens=400, response_format=Verdict)
    assert answer.choices[0].finish_reason == "stop"
    assert isinstance(answer.choices[0].message.parsed, Verdict)
    with client.chat.completions.stream(model="small", messages=question, temperature=0,
                                        max_tokens=400, response_format=Verdict) as stream:
        for _ in stream:
            pass
        final = stream.get_final_completion()
    assert final.choices[0].message.parsed == answer.choices[0].message.parsed
    response = client.responses.parse(model="small", input=question, temperature=0,
                                      max_output_tokens=400, text_format=Verdict)
    assert response.output_parsed == answer.choices[0].message.parsed
    with pytest.raises(openai.BadRequestError) as error:
        client.chat.completions.create(
            model="small", messages=question,
            response_format={"type": "json_schema",
                             "json_schema": {"name": "bad", "schema": {"type": "elephant"}}})
    assert error.value.param == "response_format"


def test_json_objects_and_expressions(client):
    question = [{"role": "user", "content": "Describe a cat. Use JSON."}]
    answer = client.chat.completions.create(model="small", messages=question, temperature=1,
                                            seed=1, max_tokens=60,
                                            response_format={"type": "json_object"})
    assert answer.choices[0].message.content.startswith("{")
    if answer.choices[0].finish_reason == "stop":
        assert isinstance(json.loads(answer.choices[0].message.content), dict)
    answer = client.chat.completions.create(
        model="small", messages=question, max_tokens=40,
        extra_body={"response_format": {"type": "regex", "regex": "(black|white) [0-9]{2}"}})
    assert re.fullmatch("(black|white) [0-9]{2}", answer.choices[0].message.content)


WEATHER = {"name": "get_weather", "description": "The weather in a city",
           "parameters": {"type": "object", "additionalProperties": False,
                          "properties": {"city": {"type": "string", "maxLength": 20},
                                         "unit": {"enum": ["celsius", "fahrenheit"]}},
                          "required": ["city", "unit"]}}
ASK = [{"role": "user", "content": "What is the weather in Paris?"}]


def test_tools(tool_client):
    options = dict(model="small", messages=ASK, temperature=0, max_tokens=300,
                   tools=[{"type": "function", "function": WEATHER}], tool_choice="required",
                   parallel_tool_calls=False)
    answer = tool_client.chat.completions.create(**options)
    assert answer.choices[0].finish_reason == "tool_calls"
    [call] = answer.choices[0].message.tool_calls
    assert call.function.name == "get_weather"
    arguments = json.loads(call.function.arguments)
    assert set(arguments) == {"city", "unit"} and arguments["unit"] in ("celsius", "fahrenheit")

    with tool_client.chat.completions.stream(**options) as stream:
        names = [event.name for event in stream if event.type == "tool_calls.function.arguments.done"]
        final = stream.get_final_completion()
    assert names == ["get_weather"]
    assert final.choices[0].message.tool_calls[0].function.arguments == call.function.arguments

    # The tool's answer, as a client sends it.
    turns = ASK + [answer.choices[0].message,
                   {"role": "tool", "tool_call_id": call.id, "content": "Rain, 11 degrees."}]
    follow_up = tool_client.chat.completions.create(model="small", messages=turns, max_tokens=20,
                                                    tools=options["tools"], tool_choice="none")
    assert follow_up.choices[0].message.tool_calls is None
    assert follow_up.usage.prompt_tokens > answer.usage.prompt_tokens - 300


def test_tools_and_a_schema(tool_client):
    # Strict functions beside a schema: the package insists on strict ones in parse().
    weather = {"type": "function", "function": {**WEATHER, "strict": True, "parameters": {
        **WEATHER["parameters"], "additionalProperties": False}}}
    options = dict(model="small", temperature=0, max_tokens=400, tools=[weather],
                   parallel_tool_calls=False, response_format=Verdict)
    answer = tool_client.chat.completions.parse(
        messages=[{"role": "user", "content": "Is Paris a capital, and of which country?"}], **options)
    message = answer.choices[0].message
    assert (message.parsed is None) == bool(message.tool_calls)
    if message.parsed is not None:
        assert isinstance(message.parsed, Verdict)
        assert answer.choices[0].finish_reason == "stop"
    forced = tool_client.chat.completions.parse(messages=ASK, tool_choice="required", **options)
    [call] = forced.choices[0].message.tool_calls
    assert set(call.function.parsed_arguments) == {"city", "unit"}
    assert forced.choices[0].message.parsed is None


def test_strict_tools_leave_text_free(tool_client):
    weather = {"type": "function", "function": {**WEATHER, "strict": True}}
    answer = tool_client.chat.completions.create(model="small", messages=MESSAGES, temperature=0,
                                                 max_tokens=32, tools=[weather])
    message = answer.choices[0].message
    assert message.content or message.tool_calls


def test_tools_of_responses(tool_client):
    tools = [{"type": "function", "strict": True, **WEATHER}]
    options = dict(model="small", temperature=0, max_output_tokens=300, tools=tools)
    answer = tool_client.responses.create(input=ASK, parallel_tool_calls=False,
                                          tool_choice={"type": "function", "name": "get_weather"},
                                          **options)
    [call] = answer.output
    assert call.type == "function_call" and call.name == "get_weather"
    assert set(json.loads(call.arguments)) == {"city", "unit"}
    with tool_client.responses.stream(input=ASK, tool_choice="required", parallel_tool_calls=False,
                                      **options) as stream:
        deltas = "".join(event.delta for event in stream
                         if event.type == "response.function_call_arguments.delta")
        final = stream.get_final_response()
    assert final.output[0].arguments == deltas
    follow_up = tool_client.responses.create(
        input=ASK + [call.to_dict(), {"type": "function_call_output", "call_id": call.call_id,
                                      "output": "Rain, 11 degrees."}], tool_choice="none", **options)
    assert follow_up.output[0].type == "message"


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


def test_a_body_that_is_too_large_is_refused_with_a_reason(client):
    with pytest.raises(openai.APIStatusError) as error:
        client.chat.completions.create(
            model="small", messages=[{"role": "user", "content": "a" * (16 << 20)}])
    assert error.value.status_code == 413
    assert "larger than" in error.value.message


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
