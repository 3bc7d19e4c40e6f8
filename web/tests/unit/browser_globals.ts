// What modules of the page expect of a browser when they are loaded.
class MemoryStorage {
  readonly #items = new Map<string, string>();
  getItem(key: string): string | null {
    return this.#items.get(key) ?? null;
  }
  setItem(key: string, value: string): void {
    this.#items.set(key, value);
  }
}

Object.assign(globalThis, {
  localStorage: new MemoryStorage(),
  sessionStorage: new MemoryStorage(),
  document: { documentElement: { dataset: {} }, hidden: true },
  fetch: () => Promise.reject(new TypeError('no network in unit tests')),
});
