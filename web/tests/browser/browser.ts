// Chromium, and a page of the server in it that fails the test where anything went wrong in it.
import { mkdirSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { AxeBuilder } from '@axe-core/playwright';
import { chromium, type Browser, type BrowserContextOptions, type Page } from 'playwright-core';
import { expect } from 'vitest';

const SCREENSHOTS = resolve(process.env['FATHOM_SCREENSHOTS'] ?? '../build/web-screenshots');

export const PHONE = { width: 390, height: 844 };

export function startBrowser(): Promise<Browser> {
  return chromium.launch({
    executablePath: process.env['CHROMIUM'] ?? '/usr/bin/chromium',
    args: ['--no-sandbox', '--disable-dev-shm-usage'],
  });
}

/** Runs `test` in a page of its own; errors of the page and whatever its policy blocked fail it. */
export async function inPage(
  browser: Browser,
  address: string,
  options: BrowserContextOptions,
  test: (page: Page) => Promise<void>,
): Promise<void> {
  const context = await browser.newContext({
    locale: 'en-GB',
    colorScheme: 'light',
    viewport: { width: 1200, height: 800 },
    reducedMotion: 'reduce',
    ...options,
  });
  const problems: string[] = [];
  try {
    const page = await context.newPage();
    page.setDefaultTimeout(45_000);
    page.on('pageerror', (error) => problems.push(`${error.name}: ${error.message}`));
    page.on('console', (message) => {
      // What the server refuses is also shown in the page, where tests look for it.
      const refused = message.text().startsWith('Failed to load resource');
      if (message.type() === 'error' && !refused) problems.push(message.text());
    });
    await page.goto(`${address}/`);
    await page.getByRole('navigation').waitFor();
    await test(page);
  } finally {
    await context.close();
  }
  expect(problems).toEqual([]);
}

export async function screenshot(page: Page, name: string): Promise<void> {
  mkdirSync(SCREENSHOTS, { recursive: true });
  await page.screenshot({ path: join(SCREENSHOTS, `${name}.png`) });
}

/** WCAG 2.2 A and AA, and axe's own advice. */
export async function expectAccessible(page: Page): Promise<void> {
  const { violations } = await new AxeBuilder({ page }).analyze();
  const said = violations.map(
    ({ id, help, nodes }) => `${id}: ${help}: ${nodes.map((node) => node.html).join(' | ')}`,
  );
  expect(said).toEqual([]);
}

export async function ask(page: Page, text: string): Promise<void> {
  await page.getByRole('textbox', { name: 'Message' }).fill(text);
  await page.keyboard.press('Enter');
}

export function lastAnswer(page: Page) {
  return page.locator('article.answer').last();
}

export async function answerEnds(page: Page): Promise<void> {
  await lastAnswer(page).and(page.locator('[aria-busy=false]')).waitFor();
}

/** A stream as the server would send it. */
export function streamOf(deltas: object[]): string {
  const chunks = deltas.map((delta) => ({ choices: [{ index: 0, delta, finish_reason: null }] }));
  const last = {
    choices: [],
    usage: { prompt_tokens: 12, completion_tokens: deltas.length },
  };
  const events = [...chunks, last].map((chunk) => `data: ${JSON.stringify(chunk)}\n\n`);
  return `${events.join('')}data: [DONE]\n\n`;
}
