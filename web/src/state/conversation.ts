// The conversation: what was said, and the answer that is being given. It lives as long as the tab.
import { computed, signal } from '@preact/signals';
import { streamChat, type ChatEvent, type Message, type Usage } from '../api/chat';
import { ApiError } from '../api/client';
import { model, noticeError } from './server';
import { sampling, systemPrompt } from './settings';
import { stored } from './stored';

export interface AnswerStats {
  firstTokenSeconds: number | null;
  seconds: number; // from the first token to the last
  pieces: number; // that came; about as many as tokens
  usage: Usage | null; // unknown for an answer that was stopped
}

export type AnswerState = 'waiting' | 'thinking' | 'writing' | 'done' | 'stopped' | 'failed';

export interface Question {
  role: 'user';
  id: number;
  content: string;
}

export interface Answer {
  role: 'assistant';
  id: number;
  content: string;
  reasoning: string;
  reasoningSeconds: number | null;
  state: AnswerState;
  finish: string | null;
  model: string;
  route: string;
  problem: { status: number; message: string; code: string | null } | null;
  stats: AnswerStats;
}

export type Turn = Question | Answer;

const isTurns = (value: unknown): value is Turn[] =>
  Array.isArray(value) && value.every((turn) => typeof turn?.content === 'string');

const saved = stored<Turn[]>(sessionStorage, 'turns', [], isTurns);

export const turns = signal<Turn[]>(saved.value.map(settled));
export const answering = computed(() => {
  const last = turns.value.at(-1);
  return last?.role === 'assistant' && ['waiting', 'thinking', 'writing'].includes(last.state);
});

let nextId = 1 + Math.max(0, ...turns.value.map(({ id }) => id));
let running: AbortController | null = null;

/** An answer that was being given when the page was left has ended there. */
function settled(turn: Turn): Turn {
  const open = turn.role === 'assistant' && !['done', 'failed'].includes(turn.state);
  return open ? { ...turn, state: 'stopped' } : turn;
}

function newAnswer(): Answer {
  return {
    role: 'assistant',
    id: nextId++,
    content: '',
    reasoning: '',
    reasoningSeconds: null,
    state: 'waiting',
    finish: null,
    model: '',
    route: '',
    problem: null,
    stats: { firstTokenSeconds: null, seconds: 0, pieces: 0, usage: null },
  };
}

/** What the server is told: questions without an answer are left out, but for the last. */
export function messagesOf(all: readonly Turn[], system: string): Message[] {
  const messages: Message[] = [];
  if (system.trim() !== '') messages.push({ role: 'system', content: system });
  all.forEach((turn, i) => {
    const next = all[i + 1];
    if (turn.role === 'user') {
      if (next?.role !== 'assistant' || next.content !== '') {
        messages.push({ role: 'user', content: turn.content });
      }
    } else if (turn.content !== '') {
      messages.push({ role: 'assistant', content: turn.content });
    }
  });
  return messages;
}

/** The answer after one more event, `seconds` after the question. */
export function withEvent(answer: Answer, event: ChatEvent, seconds: number): Answer {
  const next = { ...answer, stats: { ...answer.stats } };
  if (event.model) next.model = event.model;
  if (event.route) next.route = event.route;
  if (event.finish) next.finish = event.finish;
  if (event.usage) next.stats.usage = event.usage;
  if (!event.content && !event.reasoning) return next;
  next.stats.firstTokenSeconds ??= seconds;
  next.stats.seconds = seconds - next.stats.firstTokenSeconds;
  next.stats.pieces += 1;
  if (event.reasoning) {
    next.reasoning += event.reasoning;
    next.state = 'thinking';
  }
  if (event.content) {
    if (next.reasoning !== '') next.reasoningSeconds ??= next.stats.seconds;
    next.content += event.content;
    next.state = 'writing';
  }
  return next;
}

export function tokensPerSecond({ stats }: Answer): number | null {
  const tokens = stats.usage?.completion_tokens ?? stats.pieces;
  return tokens > 1 && stats.seconds > 0 ? (tokens - 1) / stats.seconds : null;
}

function save(): void {
  saved.value = turns.value;
}

async function answer(before: Turn[]): Promise<void> {
  const abort = new AbortController();
  running = abort;
  let current = newAnswer();
  // Pieces come faster than screens are drawn: one change of the page for each frame.
  let frame = 0;
  const show = () => {
    cancelAnimationFrame(frame);
    frame = 0;
    turns.value = [...before, current];
  };
  show();
  save();
  const begin = performance.now();
  try {
    const messages = messagesOf(before, systemPrompt.value);
    const id = model.value?.id ?? '';
    for await (const event of streamChat(id, messages, sampling.value, abort.signal)) {
      if (abort.signal.aborted) break;
      current = withEvent(current, event, (performance.now() - begin) / 1000);
      // Hidden pages draw no frames, but their title and memory should be right.
      if (document.hidden) show();
      else frame ||= requestAnimationFrame(show);
    }
    current = { ...current, state: abort.signal.aborted ? 'stopped' : 'done' };
  } catch (problem) {
    if (abort.signal.aborted) {
      current = { ...current, state: 'stopped' };
    } else {
      noticeError(problem);
      const { status, message, code } =
        problem instanceof ApiError ? problem : new ApiError(0, String(problem));
      current = { ...current, state: 'failed', problem: { status, message, code } };
    }
  }
  if (running !== abort) return; // the conversation was thrown away
  running = null;
  show();
  save();
}

export function send(content: string): void {
  if (answering.value || content.trim() === '') return;
  void answer([...turns.value, { role: 'user', id: nextId++, content: content.trim() }]);
}

export function stop(): void {
  running?.abort();
}

/** Another answer to the last question. */
export function retry(): void {
  if (answering.value) return;
  const before = [...turns.value];
  while (before.at(-1)?.role === 'assistant') before.pop();
  if (before.length > 0) void answer(before);
}

/** Takes the last question back, to be written anew. */
export function takeBack(): string {
  if (answering.value) return '';
  const at = turns.value.findLastIndex(({ role }) => role === 'user');
  const content = turns.value[at]?.content ?? '';
  if (at >= 0) turns.value = turns.value.slice(0, at);
  save();
  return content;
}

export function clear(): void {
  running?.abort();
  running = null;
  turns.value = [];
  save();
}
