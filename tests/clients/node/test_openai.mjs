// The official openai package for Node against fathom serve, as its users call it.
//   FATHOM_URL=http://127.0.0.1:8080 FATHOM_TOOL_URL=http://127.0.0.1:8081 node --test test_openai.mjs
// The second server's chat template knows tools (conftest.py).
import assert from "node:assert/strict";
import test from "node:test";
import OpenAI from "openai";

const clientOf = (url) => new OpenAI({ baseURL: `${url}/v1`, apiKey: "none", maxRetries: 0 });
const client = clientOf(process.env.FATHOM_URL);
const toolClient = clientOf(process.env.FATHOM_TOOL_URL);
const model = "small";
const messages = [
  { role: "system", content: "You answer in one short sentence." },
  { role: "user", content: "What is the capital of France?" },
];

test("models", async () => {
  const ids = [];
  for await (const entry of client.models.list()) ids.push(entry.id);
  assert.deepEqual(ids, [model]);
});

test("a chat says the same whole and streamed", async () => {
  const options = { model, messages, temperature: 0, max_completion_tokens: 32 };
  const whole = await client.chat.completions.create(options);
  assert.match(whole.choices[0].message.content, /Paris/);
  const stream = await client.chat.completions.create({
    ...options,
    stream: true,
    stream_options: { include_usage: true },
  });
  let text = "";
  let usage;
  for await (const chunk of stream) {
    text += chunk.choices[0]?.delta?.content ?? "";
    usage = chunk.usage ?? usage;
  }
  assert.equal(text, whole.choices[0].message.content);
  assert.equal(usage.completion_tokens, whole.usage.completion_tokens);
  assert.equal(usage.total_tokens, whole.usage.total_tokens);
});

test("the streaming helper puts the answer together", async () => {
  const runner = client.chat.completions.stream({ model, messages, temperature: 0, max_tokens: 8 });
  let pieces = "";
  runner.on("content", (delta) => (pieces += delta));
  const final = await runner.finalChatCompletion();
  assert.equal(pieces, final.choices[0].message.content);
});

test("log-probabilities", async () => {
  const answer = await client.chat.completions.create({
    model,
    messages,
    temperature: 0,
    max_tokens: 8,
    logprobs: true,
    top_logprobs: 3,
  });
  const tokens = answer.choices[0].logprobs.content;
  assert.equal(tokens.length, answer.usage.completion_tokens);
  for (const token of tokens) {
    assert.equal(token.top_logprobs.length, 3);
    assert.equal(token.logprob, Math.max(...token.top_logprobs.map((other) => other.logprob)));
  }
});

test("structured output", async () => {
  const options = {
    model,
    messages: [{ role: "user", content: "Is Paris a capital, and of which country? Use JSON." }],
    temperature: 0,
    max_tokens: 400,
    response_format: {
      type: "json_schema",
      json_schema: {
        name: "verdict",
        strict: true,
        schema: {
          type: "object",
          additionalProperties: false,
          properties: {
            capital: { type: "boolean" },
            country: { type: "string", maxLength: 20 },
          },
          required: ["capital", "country"],
        },
      },
    },
  };
  const answer = await client.chat.completions.parse(options);
  const { parsed } = answer.choices[0].message;
  assert.equal(answer.choices[0].finish_reason, "stop");
  assert.equal(typeof parsed.capital, "boolean");
  assert.deepEqual(Object.keys(parsed), ["capital", "country"]);
  const streamed = await client.chat.completions.stream(options).finalChatCompletion();
  assert.equal(streamed.choices[0].message.content, answer.choices[0].message.content);
});

test("tools, whole and streamed, and the answer to what they said", async () => {
  const options = {
    model,
    messages: [{ role: "user", content: "What is the weather in Paris?" }],
    temperature: 0,
    max_tokens: 300,
    tools: [
      {
        type: "function",
        function: {
          name: "get_weather",
          description: "The weather in a city",
          parameters: {
            type: "object",
            additionalProperties: false,
            properties: {
              city: { type: "string", maxLength: 20 },
              unit: { enum: ["celsius", "fahrenheit"] },
            },
            required: ["city", "unit"],
          },
        },
      },
    ],
    tool_choice: "required",
    parallel_tool_calls: false,
  };
  const answer = await toolClient.chat.completions.create(options);
  assert.equal(answer.choices[0].finish_reason, "tool_calls");
  const [call] = answer.choices[0].message.tool_calls;
  assert.equal(call.function.name, "get_weather");
  assert.deepEqual(Object.keys(JSON.parse(call.function.arguments)).sort(), ["city", "unit"]);
  const streamed = await toolClient.chat.completions.stream(options).finalChatCompletion();
  const [same] = streamed.choices[0].message.tool_calls;
  assert.equal(same.function.arguments, call.function.arguments);
  const next = await toolClient.chat.completions.create({
    ...options,
    messages: [
      ...options.messages,
      answer.choices[0].message,
      { role: "tool", tool_call_id: call.id, content: "Rain, 11 degrees." },
    ],
    tool_choice: "none",
    max_tokens: 20,
  });
  assert.ok(!next.choices[0].message.tool_calls?.length);
  assert.equal(next.choices[0].finish_reason === "tool_calls", false);
});

test("completions and the best of several", async () => {
  const answer = await client.completions.create({
    model,
    prompt: ["1, 2, 3, 4,", "a, b, c, d,"],
    temperature: 0,
    max_tokens: 6,
  });
  assert.match(answer.choices[0].text, /5/);
  assert.match(answer.choices[1].text, /e/);
  const best = await client.completions.create({
    model,
    prompt: "1, 2, 3, 4,",
    temperature: 1,
    seed: 1,
    max_tokens: 6,
    best_of: 4,
  });
  assert.equal(best.choices.length, 1);
  assert.ok(best.usage.completion_tokens > 6);
});

test("embeddings", async () => {
  const answer = await client.embeddings.create({
    model,
    input: ["The cat sleeps on the sofa.", "A cat is sleeping on the couch.", "Rates rose by 2%."],
  });
  const [a, b, c] = answer.data.map((item) => item.embedding);
  const dot = (x, y) => x.reduce((sum, value, i) => sum + value * y[i], 0);
  assert.ok(Math.abs(dot(a, a) - 1) < 1e-3);
  assert.ok(dot(a, b) > dot(a, c));
});

test("responses", async () => {
  const options = {
    model,
    input: "What is the capital of France?",
    instructions: "Answer in one short sentence.",
    temperature: 0,
    max_output_tokens: 32,
  };
  const whole = await client.responses.create(options);
  assert.match(whole.output_text, /Paris/);
  let text = "";
  for await (const event of await client.responses.create({ ...options, stream: true })) {
    if (event.type === "response.output_text.delta") text += event.delta;
  }
  assert.equal(text, whole.output_text);
});

test("errors have their classes and name the field", async () => {
  await assert.rejects(
    client.chat.completions.create({ model, messages, temperature: 9 }),
    (error) => error instanceof OpenAI.BadRequestError && error.param === "temperature",
  );
  await assert.rejects(
    client.chat.completions.create({ model: "gpt-4", messages }),
    (error) => error instanceof OpenAI.NotFoundError && error.code === "model_not_found",
  );
});

test("a stream can be left", async () => {
  const stream = await client.chat.completions.create({
    model,
    messages,
    max_tokens: 4000,
    temperature: 1,
    stream: true,
  });
  for await (const chunk of stream) {
    if (chunk.choices[0]?.delta?.content) break;
  }
  for (let i = 0; i < 1000; ++i) {
    const metrics = await (await fetch(`${process.env.FATHOM_URL}/metrics`)).text();
    if (metrics.includes("\nfathom_batch_answers 0\n")) return;
  }
  assert.fail("the answer is still running");
});
