import { ask } from './client';

export type RankBy = 'cost' | 'latency' | 'quality';

/** What is asked of the planner; 0: no such wish. */
export interface PlanWishes {
  requests_per_second: number;
  prompt_tokens: number;
  output_tokens: number;
  ttft_ms: number;
  itl_ms: number;
  usd_per_hour: number;
  on_premises: boolean;
  by: RankBy;
}

export interface Percentiles {
  p50: number;
  p90: number;
  p99: number;
}

export interface PlanIdentity {
  title: string;
  tier: string;
  precision: string;
  hardware: string;
  placement: string;
}

/** Measured here, or claimed by the model's makers. */
export interface PlanQuality {
  score: number;
  benchmark: string;
  measured: boolean;
  date: string | null;
  precision: string | null;
}

export interface PlannedDeployment extends PlanIdentity {
  memory: Record<'weights' | 'cache' | 'activations' | 'program' | 'device', number>;
  memory_bytes: number;
  ttft_ms: Percentiles;
  itl_ms: Percentiles;
  utilisation: number;
  usd_per_hour: number | null;
  usd_per_million_requests: number | null;
  quality: PlanQuality | null;
  bound_by: string;
  /** What must be done before the command: empty where the model is on disk. */
  prepare: string[];
  command: string;
  curves?: {
    usd_a_month_over_requests: [number, number][];
    ms_over_load: [number, number, number][];
  };
}

export interface RuledOut extends PlanIdentity {
  constraint: string;
  reason: string;
}

export interface Plan {
  deployments: PlannedDeployment[];
  ruled_out: RuledOut[];
  candidates: number;
  able: number;
  milliseconds: number;
}

export async function makePlan(wishes: PlanWishes, signal: AbortSignal): Promise<Plan> {
  const response = await ask('v1/plan', {
    method: 'POST',
    headers: { 'Content-Type': 'application/json' },
    // A larger context where prompt and answer need one.
    body: JSON.stringify({
      ...wishes,
      context: Math.max(4096, 2 * (wishes.prompt_tokens + wishes.output_tokens)),
    }),
    signal,
  });
  return (await response.json()) as Plan;
}
