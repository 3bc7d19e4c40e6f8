// What is known of the server: its models, and whether it wants a key that we do not have.
import { computed, effect, signal } from '@preact/signals';
import { ApiError } from '../api/client';
import { listModels, type Model } from '../api/models';
import { apiKey, chosenModel } from './settings';

export const models = signal<Model[]>([]);
export const needsKey = signal(false);
export const unreachable = signal(false);

/** The model that is asked: the chosen one while it is there, else the first. */
export const model = computed<Model | null>(
  () => models.value.find(({ id }) => id === chosenModel.value) ?? models.value[0] ?? null,
);

/** Takes note of what an error says about the server. */
export function noticeError(problem: unknown): void {
  if (!(problem instanceof ApiError)) return;
  if (problem.status === 401) needsKey.value = true;
}

export async function loadModels(): Promise<void> {
  try {
    models.value = await listModels();
    needsKey.value = false;
    unreachable.value = false;
  } catch (problem) {
    noticeError(problem);
    unreachable.value = problem instanceof ApiError && problem.status === 0;
  }
}

// Again with every other key.
effect(() => {
  void apiKey.value;
  void loadModels();
});
