import { expect, test } from 'vitest';
import { EventParser } from '../../src/api/sse';
import { en } from '../../src/i18n/en';
import { zh } from '../../src/i18n/zh';
import { decodeEntities } from '../../src/lib/entities';
import { bytes, compact, dollars, duration } from '../../src/lib/format';
import { safeLink } from '../../src/lib/safe_link';
import { parseField, RULES, withField, withStops } from '../../src/lib/sampling_rules';
import { byDay } from '../../src/lib/usage_days';

test('events are the same however their text is cut', () => {
  const text =
    'data: {"a":1}\n\n: a comment\r\ndata:two\ndata: lines\r\n\r\nevent: x\ndata: [DONE]\n\n';
  const wanted = ['{"a":1}', 'two\nlines', '[DONE]'];
  for (let size = 1; size <= text.length; ++size) {
    const parser = new EventParser();
    const events: string[] = [];
    for (let at = 0; at < text.length; at += size)
      events.push(...parser.push(text.slice(at, at + size)));
    expect(events).toEqual(wanted);
  }
});

test('character references become characters, and what is none stays', () => {
  expect(decodeEntities('&lt;b&gt; &amp;amp; &#39;&#x4E2D;&nbsp;')).toBe("<b> &amp; '中\u00a0");
  expect(decodeEntities('a & b &unknown; &constructor; &#0; &#xD800;')).toBe(
    'a & b &unknown; &constructor; \ufffd \ufffd',
  );
});

test('links lead to the web and to mail alone', () => {
  expect(safeLink('https://a.example/x?y#z')).toBe('https://a.example/x?y#z');
  expect(safeLink('mailto:someone@a.example')).toBe('mailto:someone@a.example');
  for (const bad of [
    'javascript:alert(1)',
    ' JaVaScRiPt:alert(1)',
    'java\nscript:alert(1)',
    'data:text/html,x',
    'vbscript:x',
    'file:///etc/passwd',
    'blob:https://a.example/1',
    '/v1/models',
    '#usage',
    '//a.example',
    '',
  ]) {
    expect(safeLink(bad)).toBeNull();
  }
});

test('both languages have every text, with the same places to fill in', () => {
  const places = (text: string) => [...text.matchAll(/\{\w+\}/g)].map(([place]) => place).sort();
  for (const name of Object.keys(en) as (keyof typeof en)[]) {
    expect(zh[name], name).not.toBe('');
    expect(places(zh[name]), name).toEqual(places(en[name]));
  }
});

test('numbers are written as people of the language do', () => {
  expect(compact('en', 134_515_008)).toBe('135M');
  expect(compact('zh', 134_515_008)).toBe('1.35亿');
  expect(bytes('en', 231_000_000)).toBe('231 MB');
  expect(bytes('en', 999)).toBe('999 B');
  expect(duration('en', 0.0375)).toBe('37.5 ms');
  expect(duration('en', 1.234)).toBe('1.23 s');
  expect(duration('en', null)).toBe('–');
  expect(dollars('en', 0.00042)).toBe('$0.0004');
  expect(dollars('en', 12)).toBe('$12.00');
});

test('fields of sampling take what the server takes', () => {
  const rule = (name: string) => RULES.find((each) => each.name === name)!;
  expect(parseField(rule('temperature'), ' ')).toBeUndefined();
  expect(parseField(rule('temperature'), '0')).toBe(0);
  expect(parseField(rule('temperature'), '2.1')).toBeNull();
  expect(parseField(rule('temperature'), 'warm')).toBeNull();
  expect(parseField(rule('top_k'), '1.5')).toBeNull();
  expect(parseField(rule('presence_penalty'), '-2')).toBe(-2);
  expect(parseField(rule('seed'), '1e400')).toBeNull();
  expect(withField({ top_k: 3, seed: 1 }, 'seed', undefined)).toEqual({ top_k: 3 });
  expect(withStops({ top_k: 3 }, 'a\n\n b \n')).toEqual({ top_k: 3, stop: ['a', ' b '] });
  expect(withStops({ stop: ['a'] }, '\n')).toEqual({});
});

test('usage by day has every day of the time', () => {
  const sums = { requests: 1, cached_tokens: 0, failed: 0, cancelled: 0, seconds: 1 };
  const row = { ...sums, key: '', model: 'm', first_token_seconds: 0 };
  const rows = [
    { ...row, day: '2026-03-01', prompt_tokens: 5, completion_tokens: 2, cost_usd: 0.5 },
    { ...row, day: '2026-03-01', prompt_tokens: 1, completion_tokens: 1, cost_usd: 0.25 },
    { ...row, day: '2026-02-01', prompt_tokens: 9, completion_tokens: 9, cost_usd: 9 },
  ];
  const days = byDay(rows, 3, Date.parse('2026-03-02T15:00:00Z') / 1000);
  expect(days.map(({ time }) => new Date(time * 1000).toISOString().slice(0, 10))).toEqual([
    '2026-02-28',
    '2026-03-01',
    '2026-03-02',
  ]);
  expect(days[1]).toMatchObject({ prompt: 6, answer: 3, cost: 0.75 });
  expect(days[2]).toMatchObject({ prompt: 0, answer: 0, cost: 0 });
});
