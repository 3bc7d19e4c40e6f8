import { ask } from './client';

export interface UsageSums {
  requests: number;
  prompt_tokens: number;
  cached_tokens: number;
  completion_tokens: number;
  failed: number;
  cancelled: number;
  seconds: number;
  cost_usd: number;
  routed?: number; // to the model "auto"
  kept_by_lite?: number;
  saved_usd?: number;
}

export interface UsageRow extends UsageSums {
  day: string;
  key: string;
  model: string;
  first_token_seconds: number;
}

export interface Usage {
  data: UsageRow[];
  total: UsageSums;
}

export async function readUsage(days: number): Promise<Usage> {
  const response = await ask(`v1/usage?days=${days}`);
  return (await response.json()) as Usage;
}
