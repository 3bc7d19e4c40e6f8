import { computed, signal } from '@preact/signals';
import { theme } from './settings';

const query = matchMedia('(prefers-color-scheme: dark)');
const system = signal(query.matches);
query.addEventListener('change', () => (system.value = query.matches));

/** Whether the page is dark now, by choice or by the system. */
export const dark = computed(() =>
  theme.value === 'auto' ? system.value : theme.value === 'dark',
);
