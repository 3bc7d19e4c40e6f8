import type { Browser, Page } from 'playwright-core';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { expectAccessible, inPage, PHONE, screenshot, startBrowser } from './browser';
import { startServer, type TestServer } from './server';

let server: TestServer;
let browser: Browser;

beforeAll(async () => {
  [server, browser] = await Promise.all([startServer(), startBrowser()]);
});
afterAll(async () => {
  await browser?.close();
  await server?.stop();
});

const ranking = (page: Page) => page.getByRole('region', { name: 'Ranking' });

/** Presses keys on a slider and waits for the answer that they lead to. */
async function press(page: Page, slider: string, key: string, times: number): Promise<void> {
  const field = page.getByRole('slider', { name: slider });
  await field.focus();
  for (let i = 0; i < times - 1; ++i) await page.keyboard.press(key);
  const answered = page.waitForResponse((response) => response.url().endsWith('/v1/plan'));
  await page.keyboard.press(key);
  await answered;
}

test('the planner ranks deployments anew when a slider moves', () =>
  inPage(browser, server.address, {}, async (page) => {
    await page.getByRole('link', { name: 'Planner' }).click();
    await ranking(page).getByRole('row').nth(1).waitFor();
    await page.getByRole('img', { name: /^Cost over volume: / }).waitFor();
    await page.getByRole('img', { name: /^First token over load: / }).waitFor();
    const before = await ranking(page).textContent();
    await press(page, 'Load', 'ArrowRight', 24); // a hundred times the load
    await page
      .getByRole('slider', { name: 'Load' })
      .and(page.locator('[aria-valuetext="100 requests/s"]'))
      .waitFor();
    await expect.poll(() => ranking(page).textContent()).not.toBe(before);
    for (const scheme of ['light', 'dark'] as const) {
      await page.emulateMedia({ colorScheme: scheme });
      await expectAccessible(page);
      await screenshot(page, `plan-${scheme}`);
    }
  }));

test('wishes that nothing meets are said so, with what came nearest', () =>
  inPage(browser, server.address, {}, async (page) => {
    await page.getByRole('link', { name: 'Planner' }).click();
    await ranking(page).waitFor();
    await press(page, 'Time to first token, at most', 'Home', 1);
    await press(page, 'Budget, at most', 'Home', 1);
    await page.getByText('Nothing in the catalogues does as wished.').waitFor();
    await page.getByText('Ruled out').click();
    await page.getByRole('region', { name: 'Ruled out' }).getByRole('row').nth(1).waitFor();
    await expectAccessible(page);
  }));

test('the planner speaks Chinese and fits a phone', () =>
  inPage(
    browser,
    server.address,
    { locale: 'zh-CN', viewport: PHONE, hasTouch: true, isMobile: true },
    async (page) => {
      await page.getByRole('link', { name: '规划' }).tap();
      await page.getByRole('region', { name: '排名' }).waitFor();
      const overflow = await page.evaluate(
        () => document.documentElement.scrollWidth - window.innerWidth,
      );
      expect(overflow).toBeLessThanOrEqual(0);
      await expectAccessible(page);
      await screenshot(page, 'plan-zh-phone');
    },
  ));
