import { signal } from '@preact/signals';

export const ROUTES = ['chat', 'dashboard', 'usage', 'plan'] as const;
export type Route = (typeof ROUTES)[number];

function current(): Route {
  const name = location.hash.slice(1) as Route;
  return ROUTES.includes(name) ? name : 'chat';
}

/** The part of the page that is shown: what stands after # in its address. */
export const route = signal<Route>(current());
addEventListener('hashchange', () => (route.value = current()));
