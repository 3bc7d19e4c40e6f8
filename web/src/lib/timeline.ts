// From readings of /metrics, one after the other, to what the dashboard draws.
import type { Histogram, Metrics } from '../api/metrics';
import { difference, quantile } from './quantile';

/** One point of every plot; null where there is nothing to say. */
export interface Point {
  time: number; // seconds since 1970
  answerTokens: number | null; // per second
  promptTokens: number | null; // per second; computed, so without those from the cache
  requests: number | null; // per minute
  refused: number | null; // per minute
  running: number;
  waiting: number;
  connections: number;
  firstTokenMedian: number | null; // seconds
  firstTokenP95: number | null;
  tokenGapMedian: number | null; // seconds
  tokenGapP95: number | null;
  cacheTotal: number; // bytes
  cacheUsed: number;
  cacheKept: number;
  cacheHits: number | null; // share of prompts' tokens
  memory: number; // bytes
}

const KEPT_SECONDS = 300;
/** Percentiles and rates of rare events are taken over this time. */
const WINDOW_SECONDS = 30;
/** After a longer gap nothing is known of what lay between. */
const GAP_SECONDS = 15;

interface Reading {
  time: number;
  metrics: Metrics;
}

function value(reading: Reading, name: string): number {
  return reading.metrics.values.get(name) ?? 0;
}

/** How much a counter grew; null where the server began anew in between. */
function growth(before: Reading, now: Reading, name: string): number | null {
  const grown = value(now, name) - value(before, name);
  return grown >= 0 ? grown : null;
}

function per(seconds: number, amount: number | null): number | null {
  return amount === null || seconds <= 0 ? null : amount / seconds;
}

export class Timeline {
  #readings: Reading[] = [];
  points: Point[] = [];

  add(metrics: Metrics, time: number): void {
    const now = { time, metrics };
    const last = this.#readings.at(-1);
    if (last && time - last.time > GAP_SECONDS) this.#readings = [];
    this.#readings.push(now);
    while ((this.#readings[1]?.time ?? time) < time - WINDOW_SECONDS) this.#readings.shift();
    this.points = [
      ...this.points.filter((point) => point.time > time - KEPT_SECONDS),
      this.#point(now),
    ];
  }

  #point(now: Reading): Point {
    const before = this.#readings.at(-2) ?? now;
    const oldest = this.#readings[0] ?? now;
    const step = now.time - before.time;
    const span = now.time - oldest.time;
    // The server's sum of tokens grows when answers end; what stands between tokens, as they come.
    const answered = growth(before, now, 'fathom_inter_token_seconds_count');
    const computed = growth(before, now, 'fathom_computed_tokens_total');
    const firstToken = this.#window('fathom_first_token_seconds', oldest, now);
    const tokenGap = this.#window('fathom_inter_token_seconds', oldest, now);
    const prompt = growth(oldest, now, 'fathom_prompt_tokens_total');
    const cached = growth(oldest, now, 'fathom_cached_tokens_total');
    return {
      time: now.time,
      answerTokens: per(step, answered),
      promptTokens: per(
        step,
        computed && answered !== null ? Math.max(0, computed - answered) : computed,
      ),
      requests: per(span / 60, growth(oldest, now, 'fathom_requests_total')),
      refused: per(span / 60, growth(oldest, now, 'fathom_refused_total')),
      running: value(now, 'fathom_batch_answers'),
      waiting: value(now, 'fathom_queue_answers'),
      connections: value(now, 'fathom_connections'),
      firstTokenMedian: firstToken && quantile(firstToken, 0.5),
      firstTokenP95: firstToken && quantile(firstToken, 0.95),
      tokenGapMedian: tokenGap && quantile(tokenGap, 0.5),
      tokenGapP95: tokenGap && quantile(tokenGap, 0.95),
      cacheTotal: value(now, 'fathom_kv_bytes'),
      cacheUsed: value(now, 'fathom_kv_used_bytes'),
      cacheKept: value(now, 'fathom_kv_cached_bytes'),
      cacheHits: prompt && cached !== null ? cached / prompt : null,
      memory: value(now, 'process_resident_memory_bytes'),
    };
  }

  #window(name: string, oldest: Reading, now: Reading): Histogram | null {
    const before = oldest.metrics.histograms.get(name);
    const after = now.metrics.histograms.get(name);
    return before && after ? difference(before, after) : null;
  }
}
