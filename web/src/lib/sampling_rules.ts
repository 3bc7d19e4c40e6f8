// The fields of sampling and what the server takes for each (see /openapi.json).
import type { Sampling } from '../api/chat';
import type { Texts } from '../i18n/en';

export type NumberField = Exclude<keyof Sampling, 'stop'>;

export interface Rule {
  name: NumberField;
  label: keyof Texts;
  hint: keyof Texts;
  low: number;
  high?: number;
  whole?: boolean;
}

export const RULES: readonly Rule[] = [
  { name: 'temperature', label: 'temperature', hint: 'temperatureHint', low: 0, high: 2 },
  { name: 'max_tokens', label: 'maxTokens', hint: 'maxTokensHint', low: 1, whole: true },
  { name: 'top_p', label: 'topP', hint: 'topPHint', low: 0, high: 1 },
  { name: 'top_k', label: 'topK', hint: 'topKHint', low: 0, whole: true },
  { name: 'min_p', label: 'minP', hint: 'minPHint', low: 0, high: 1 },
  { name: 'seed', label: 'seed', hint: 'seedHint', low: 0, whole: true },
  {
    name: 'repetition_penalty',
    label: 'repetitionPenalty',
    hint: 'repetitionPenaltyHint',
    low: 0.01,
    high: 10,
  },
  {
    name: 'presence_penalty',
    label: 'presencePenalty',
    hint: 'presencePenaltyHint',
    low: -2,
    high: 2,
  },
  {
    name: 'frequency_penalty',
    label: 'frequencyPenalty',
    hint: 'frequencyPenaltyHint',
    low: -2,
    high: 2,
  },
];

/** The number if the rule allows it; undefined for nothing, null for what is wrong. */
export function parseField(rule: Rule, text: string): number | undefined | null {
  if (text.trim() === '') return undefined;
  const value = Number(text);
  const inRange = value >= rule.low && value <= (rule.high ?? Number.MAX_SAFE_INTEGER);
  return inRange && (!rule.whole || Number.isInteger(value)) ? value : null;
}

/** `sampling` with the field set, or without it. */
export function withField(
  sampling: Sampling,
  name: NumberField,
  value: number | undefined,
): Sampling {
  const { [name]: _before, ...rest } = sampling;
  return value === undefined ? rest : { ...rest, [name]: value };
}

export function withStops(sampling: Sampling, text: string): Sampling {
  const { stop: _before, ...rest } = sampling;
  const stop = text.split('\n').filter((line) => line !== '');
  return stop.length === 0 ? rest : { ...rest, stop };
}
