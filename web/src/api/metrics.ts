// /metrics, in Prometheus' text format.
import { ask } from './client';

/** Counts of values up to a bound, as they add up; the last bound is infinite. */
export interface Histogram {
  bounds: number[];
  counts: number[];
}

export interface Metrics {
  /** Of each metric the sum over its labels. */
  values: Map<string, number>;
  histograms: Map<string, Histogram>;
}

const LINE = /^([a-zA-Z_:][a-zA-Z0-9_:]*)(?:\{(.*)\})? (\S+)/;
const BOUND = /(?:^|,)le="([^"]*)"/;
const BUCKET = '_bucket';

function numberOf(text: string): number {
  return text === '+Inf' ? Infinity : Number(text);
}

export function parseMetrics(text: string): Metrics {
  const values = new Map<string, number>();
  const histograms = new Map<string, Histogram>();
  for (const line of text.split('\n')) {
    if (line.startsWith('#')) continue;
    const [, name, labels, value] = LINE.exec(line) ?? [];
    if (name === undefined || value === undefined) continue;
    const bound = BOUND.exec(labels ?? '')?.[1];
    if (name.endsWith(BUCKET) && bound !== undefined) {
      const family = name.slice(0, -BUCKET.length);
      const histogram = histograms.get(family) ?? { bounds: [], counts: [] };
      histograms.set(family, histogram);
      histogram.bounds.push(numberOf(bound));
      histogram.counts.push(numberOf(value));
    } else {
      values.set(name, (values.get(name) ?? 0) + numberOf(value));
    }
  }
  return { values, histograms };
}

export async function readMetrics(signal: AbortSignal): Promise<Metrics> {
  const response = await ask('metrics', { signal });
  return parseMetrics(await response.text());
}
