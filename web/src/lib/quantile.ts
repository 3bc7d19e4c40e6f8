import type { Histogram } from '../api/metrics';

/** What was counted between two readings; null where nothing was, or the server began anew. */
export function difference(before: Histogram, now: Histogram): Histogram | null {
  if (before.bounds.length !== now.bounds.length) return null;
  const counts = now.counts.map((count, i) => count - (before.counts[i] ?? 0));
  const total = counts.at(-1) ?? 0;
  if (total <= 0 || counts.some((count) => count < 0)) return null;
  return { bounds: now.bounds, counts };
}

/** The value below which a share `q` lies, by straight lines within the buckets, as Prometheus does. */
export function quantile(histogram: Histogram, q: number): number | null {
  const total = histogram.counts.at(-1) ?? 0;
  if (total <= 0) return null;
  const rank = q * total;
  const at = histogram.counts.findIndex((count) => count >= rank);
  const upper = histogram.bounds[at];
  const lower = at > 0 ? (histogram.bounds[at - 1] ?? 0) : 0;
  if (upper === undefined || upper === Infinity) return lower;
  const below = at > 0 ? (histogram.counts[at - 1] ?? 0) : 0;
  const inside = (histogram.counts[at] ?? 0) - below;
  return inside === 0 ? upper : lower + ((upper - lower) * (rank - below)) / inside;
}
