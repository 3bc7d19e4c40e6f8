import { expect, test } from 'vitest';
import { parseMetrics } from '../../src/api/metrics';
import { difference, quantile } from '../../src/lib/quantile';
import { Timeline } from '../../src/lib/timeline';

const TEXT = `# HELP fathom_queue_answers Answers that wait for their turn
# TYPE fathom_queue_answers gauge
fathom_queue_answers 3
fathom_http_responses_total{status="200"} 5
fathom_http_responses_total{status="404"} 2
fathom_first_token_seconds_count 4
fathom_first_token_seconds_sum 1.5
fathom_first_token_seconds_bucket{le="0.1"} 1
fathom_first_token_seconds_bucket{le="0.5"} 3
fathom_first_token_seconds_bucket{le="+Inf"} 4
`;

test('values, sums over labels and histograms are read', () => {
  const { values, histograms } = parseMetrics(TEXT);
  expect(values.get('fathom_queue_answers')).toBe(3);
  expect(values.get('fathom_http_responses_total')).toBe(7);
  expect(histograms.get('fathom_first_token_seconds')).toEqual({
    bounds: [0.1, 0.5, Infinity],
    counts: [1, 3, 4],
  });
});

// The expected values are those of PromQL's histogram_quantile by its documentation.
test('quantiles lie on straight lines within buckets', () => {
  const histogram = { bounds: [1, 2, 4, Infinity], counts: [0, 10, 20, 20] };
  expect(quantile(histogram, 0.25)).toBe(1.5);
  expect(quantile(histogram, 0.5)).toBe(2);
  expect(quantile(histogram, 0.75)).toBe(3);
  expect(quantile({ bounds: [1, Infinity], counts: [5, 10] }, 0.9)).toBe(1);
  expect(quantile({ bounds: [1, Infinity], counts: [0, 0] }, 0.5)).toBeNull();
});

test('between two readings counts what is new, and nothing after a restart', () => {
  const before = { bounds: [1, Infinity], counts: [3, 5] };
  expect(difference(before, { bounds: [1, Infinity], counts: [4, 8] })?.counts).toEqual([1, 3]);
  expect(difference(before, before)).toBeNull();
  expect(difference(before, { bounds: [1, Infinity], counts: [1, 6] })).toBeNull();
});

function reading(tokens: number, firstTokens: number): string {
  return `fathom_inter_token_seconds_count ${tokens}
fathom_computed_tokens_total ${tokens * 1.5}
fathom_prompt_tokens_total ${tokens / 2}
fathom_cached_tokens_total ${tokens / 8}
fathom_first_token_seconds_bucket{le="1"} ${firstTokens}
fathom_first_token_seconds_bucket{le="+Inf"} ${firstTokens}
`;
}

test('a timeline makes rates of counters and percentiles of the last half minute', () => {
  const timeline = new Timeline();
  timeline.add(parseMetrics(reading(0, 0)), 1000);
  expect(timeline.points.at(-1)).toMatchObject({ answerTokens: null, firstTokenMedian: null });
  timeline.add(parseMetrics(reading(80, 2)), 1002);
  expect(timeline.points.at(-1)).toMatchObject({
    answerTokens: 40,
    promptTokens: 20,
    cacheHits: 0.25,
    firstTokenMedian: 0.5,
  });
  for (let time = 1004; time <= 1034; time += 2) {
    timeline.add(parseMetrics(reading(80, 2)), time);
  }
  expect(timeline.points.at(-1)).toMatchObject({ answerTokens: 0, firstTokenMedian: null });
});

test('a timeline knows nothing of the time of a gap or a restart, and forgets after five minutes', () => {
  const timeline = new Timeline();
  timeline.add(parseMetrics(reading(0, 0)), 1000);
  timeline.add(parseMetrics(reading(800, 9)), 1100);
  expect(timeline.points.at(-1)).toMatchObject({ answerTokens: null, firstTokenMedian: null });
  timeline.add(parseMetrics(reading(8, 1)), 1102);
  expect(timeline.points.at(-1)?.answerTokens).toBeNull();
  timeline.add(parseMetrics(reading(8, 1)), 1350);
  expect(timeline.points.map(({ time }) => time)).toEqual([1100, 1102, 1350]);
});
