// /v1/chat/completions, streamed.
import { ApiError, ask } from './client';
import { eventsOf } from './sse';

export interface Message {
  role: 'system' | 'user' | 'assistant';
  content: string;
}

/** What a request may ask for beyond its messages; what is missing is the model's own. */
export interface Sampling {
  temperature?: number;
  top_p?: number;
  top_k?: number;
  min_p?: number;
  repetition_penalty?: number;
  presence_penalty?: number;
  frequency_penalty?: number;
  max_tokens?: number;
  seed?: number;
  stop?: string[];
}

export interface Usage {
  prompt_tokens: number;
  completion_tokens: number;
  prompt_tokens_details?: { cached_tokens?: number };
}

export interface ChatEvent {
  content?: string;
  reasoning?: string;
  finish?: string;
  usage?: Usage;
  model?: string;
  /** Why that model answered, where the server chose it. */
  route?: string;
}

interface Chunk {
  model?: string;
  choices?: {
    delta?: { content?: string | null; reasoning_content?: string | null };
    finish_reason?: string | null;
  }[];
  usage?: Usage | null;
  error?: { message?: string; code?: string | null };
}

function eventOf(chunk: Chunk): ChatEvent {
  const choice = chunk.choices?.[0];
  const event: ChatEvent = {};
  if (chunk.model) event.model = chunk.model;
  if (choice?.delta?.content) event.content = choice.delta.content;
  if (choice?.delta?.reasoning_content) event.reasoning = choice.delta.reasoning_content;
  if (choice?.finish_reason) event.finish = choice.finish_reason;
  if (chunk.usage) event.usage = chunk.usage;
  return event;
}

export async function* streamChat(
  model: string,
  messages: Message[],
  sampling: Sampling,
  signal: AbortSignal,
): AsyncGenerator<ChatEvent> {
  const response = await ask('v1/chat/completions', {
    method: 'POST',
    headers: { 'Content-Type': 'application/json' },
    body: JSON.stringify({
      ...(model === '' ? {} : { model }),
      messages,
      ...sampling,
      stream: true,
      stream_options: { include_usage: true },
    }),
    signal,
  });
  if (!response.body) throw new ApiError(0, '', 'unreachable');
  const route = response.headers.get('x-fathom-route');
  if (route) yield { route };
  for await (const data of eventsOf(response.body)) {
    if (data === '[DONE]') return;
    const chunk = JSON.parse(data) as Chunk;
    if (chunk.error) throw new ApiError(500, chunk.error.message ?? '', chunk.error.code ?? null);
    yield eventOf(chunk);
  }
  throw new ApiError(0, '', 'broken_off');
}
