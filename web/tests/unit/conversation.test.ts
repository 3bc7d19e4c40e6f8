import { expect, test } from 'vitest';
import { errorOf } from '../../src/api/client';
import {
  messagesOf,
  tokensPerSecond,
  withEvent,
  type Answer,
  type Turn,
} from '../../src/state/conversation';

const ANSWER: Answer = {
  role: 'assistant',
  id: 2,
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
const question = (content: string): Turn => ({ role: 'user', id: 1, content });

test('an answer goes from waiting over thinking to writing, with its times', () => {
  let answer = withEvent(ANSWER, { model: 'm' }, 0.1);
  expect(answer).toMatchObject({ state: 'waiting', model: 'm' });
  answer = withEvent(answer, { reasoning: 'Hm' }, 0.5);
  expect(answer).toMatchObject({ state: 'thinking', reasoning: 'Hm', reasoningSeconds: null });
  answer = withEvent(answer, { reasoning: 'm.' }, 1.5);
  answer = withEvent(answer, { content: 'Yes' }, 2.5);
  answer = withEvent(answer, { content: '.', finish: 'stop' }, 3.5);
  const usage = { prompt_tokens: 7, completion_tokens: 13 };
  answer = withEvent(answer, { usage }, 3.6);
  expect(answer).toMatchObject({
    state: 'writing',
    content: 'Yes.',
    reasoning: 'Hmm.',
    reasoningSeconds: 2,
    finish: 'stop',
    stats: { firstTokenSeconds: 0.5, seconds: 3, pieces: 4, usage },
  });
  expect(tokensPerSecond(answer)).toBe(4);
  expect(ANSWER.stats.pieces).toBe(0);
});

test('the server is told what was said, without questions that got no answer', () => {
  const turns: Turn[] = [
    question('lost'),
    { ...ANSWER, state: 'failed' },
    question('one'),
    { ...ANSWER, content: 'first', reasoning: 'hm' },
    question('two'),
  ];
  expect(messagesOf(turns, ' ')).toEqual([
    { role: 'user', content: 'one' },
    { role: 'assistant', content: 'first' },
    { role: 'user', content: 'two' },
  ]);
  expect(messagesOf([question('one')], 'Be brief.')).toEqual([
    { role: 'system', content: 'Be brief.' },
    { role: 'user', content: 'one' },
  ]);
});

test('errors have the server’s words where there are any', () => {
  const body = '{"error":{"message":"No.","code":"no_ledger"}}';
  expect(errorOf(404, body)).toMatchObject({ status: 404, message: 'No.', code: 'no_ledger' });
  expect(errorOf(502, '<html>')).toMatchObject({ status: 502, message: '', code: null });
});
