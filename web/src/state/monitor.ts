// Reads /metrics every two seconds while the dashboard is shown, and keeps what it read for when it
// is shown again.
import { signal } from '@preact/signals';
import { readMetrics } from '../api/metrics';
import { Timeline, type Point } from '../lib/timeline';
import { noticeError } from './server';

const PERIOD_MS = 2000;

const timeline = new Timeline();
export const points = signal<Point[]>([]);
export const paused = signal(false);
export const monitorProblem = signal<unknown>(null);

async function readOnce(signal: AbortSignal): Promise<void> {
  try {
    const metrics = await readMetrics(signal);
    timeline.add(metrics, Date.now() / 1000);
    points.value = timeline.points;
    monitorProblem.value = null;
  } catch (problem) {
    if (signal.aborted) return;
    noticeError(problem);
    monitorProblem.value = problem;
  }
}

/** Until the function that comes back is called. */
export function watch(): () => void {
  const abort = new AbortController();
  let timer = 0;
  const turn = async () => {
    if (!paused.value && !document.hidden) await readOnce(abort.signal);
    if (!abort.signal.aborted) timer = window.setTimeout(() => void turn(), PERIOD_MS);
  };
  void turn();
  return () => {
    abort.abort();
    clearTimeout(timer);
  };
}
