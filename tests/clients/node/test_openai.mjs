// The official openai package for Node against fathom serve, as its users call it.
//   FATHOM_URL=http://127.0.0.1:8080 node --test test_openai.mjs
import assert from "node:assert/strict";
import test from "node:test";
import OpenAI from "openai";

const client = new OpenAI({
  baseURL: `${process.env.FATHOM_URL}/v1`,
  apiKey: "none",
  maxRetries: 0,
});
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
