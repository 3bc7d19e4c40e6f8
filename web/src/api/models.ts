import { ask } from './client';

export interface Model {
  id: string;
  context_length?: number;
  architecture?: string;
  parameters?: number;
}

export async function listModels(): Promise<Model[]> {
  const response = await ask('v1/models');
  return ((await response.json()) as { data: Model[] }).data;
}
