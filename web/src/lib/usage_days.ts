// Usage by day, for the plot: every day of the time, also those on which nothing was answered.
import type { UsageRow } from '../api/usage';

export interface Day {
  time: number; // its beginning, UTC, seconds since 1970
  prompt: number;
  answer: number;
  cost: number;
}

const SECONDS = 86_400;

export function byDay(rows: readonly UsageRow[], days: number, now: number): Day[] {
  const today = Math.floor(now / SECONDS) * SECONDS;
  const all = new Map<number, Day>();
  for (let time = today - (days - 1) * SECONDS; time <= today; time += SECONDS) {
    all.set(time, { time, prompt: 0, answer: 0, cost: 0 });
  }
  for (const row of rows) {
    const day = all.get(Date.parse(`${row.day}T00:00:00Z`) / 1000);
    if (!day) continue;
    day.prompt += row.prompt_tokens;
    day.answer += row.completion_tokens;
    day.cost += row.cost_usd;
  }
  return [...all.values()];
}
