import type { Browser, Page } from 'playwright-core';
import { afterAll, beforeAll, expect, test } from 'vitest';
import {
  answerEnds,
  ask,
  expectAccessible,
  inPage,
  lastAnswer,
  PHONE,
  screenshot,
  startBrowser,
  streamOf,
} from './browser';
import { startServer, type TestServer } from './server';

let server: TestServer;
let guarded: TestServer;
let browser: Browser;

beforeAll(async () => {
  [server, guarded, browser] = await Promise.all([
    startServer(),
    startServer({ keys: true }),
    startBrowser(),
  ]);
});
afterAll(async () => {
  await browser?.close();
  await Promise.all([server?.stop(), guarded?.stop()]);
});

const ANSWER = `The number is prime if no smaller number from 2 on divides it. It is enough to try those
whose square is not larger:

\`\`\`python
def is_prime(n: int) -> bool:
    """Whether n has no divisors but 1 and itself."""
    if n < 2:
        return False
    return all(n % d for d in range(2, int(n ** 0.5) + 1))
\`\`\`

1. Numbers below **2** are not prime.
2. A divisor above the square root has a partner below it.
`;

async function answered(page: Page, question: string): Promise<void> {
  await page.route('**/v1/chat/completions', async (route) => {
    const deltas = [{ reasoning_content: 'A loop up to the root is enough.' }];
    const pieces = ANSWER.match(/\s*\S+/g) ?? [];
    const body = streamOf([...deltas, ...pieces.map((content) => ({ content }))]);
    await route.fulfill({ contentType: 'text/event-stream', body });
  });
  await page.getByRole('textbox').first().fill(question);
  await page.keyboard.press('Enter');
  await answerEnds(page);
  await lastAnswer(page).locator('.hljs-keyword').first().waitFor();
}

async function complete(tokens: number): Promise<void> {
  const response = await fetch(`${server.address}/v1/completions`, {
    method: 'POST',
    headers: { 'Content-Type': 'application/json' },
    body: JSON.stringify({ prompt: 'Once upon a time', max_tokens: tokens }),
  });
  await response.arrayBuffer();
}

/** Load for the plots to show: three answers at a time, until the function that comes back is called. */
function load(): () => Promise<void> {
  let wanted = true;
  const session = async () => {
    while (wanted) await complete(60);
  };
  const sessions = [session(), session(), session()];
  return async () => {
    wanted = false;
    await Promise.all(sessions);
  };
}

test('the dashboard moves while the server answers', () =>
  inPage(browser, server.address, {}, async (page) => {
    await page.getByRole('link', { name: 'Dashboard' }).click();
    const plot = page.getByRole('img', { name: /^Tokens per second/ });
    await plot.waitFor();
    const picture = () =>
      plot.locator('canvas').evaluate((canvas) => (canvas as HTMLCanvasElement).toDataURL());
    const before = await picture();
    const stop = load();
    await page.getByRole('img', { name: /^Batch and queue: Running [1-9]/ }).waitFor();
    await page.getByRole('img', { name: /^Tokens per second: Answers [1-9]/ }).waitFor();
    await page.getByRole('img', { name: /^Time to first token: Median [\d.]+ m?s/ }).waitFor();
    await page.getByRole('img', { name: /^Time between tokens: Median [\d.]+ m?s/ }).waitFor();
    await stop();
    await page.getByRole('img', { name: /^Batch and queue: Running 0/ }).waitFor();
    expect(await picture()).not.toBe(before);
    await expectAccessible(page);
    await screenshot(page, 'dashboard-light');
    await page.emulateMedia({ colorScheme: 'dark' });
    await expectAccessible(page);
    await screenshot(page, 'dashboard-dark');
    await page.getByRole('button', { name: 'Pause' }).click();
    await page.getByRole('button', { name: 'Go on' }).waitFor();
  }));

test('usage and cost are shown by day and key', () =>
  inPage(browser, server.address, {}, async (page) => {
    await complete(5);
    await page.getByRole('link', { name: 'Usage' }).click();
    const table = page.getByRole('table');
    await table.waitFor();
    const today = new Date().toISOString().slice(0, 10);
    await table.getByRole('cell', { name: today }).waitFor();
    await table.getByRole('cell', { name: 'SmolLM2-135M' }).waitFor();
    await table.getByRole('cell', { name: /^(US)?\$\d/ }).waitFor();
    await page.getByRole('img', { name: 'Cost by day' }).waitFor();
    await expectAccessible(page);
    await screenshot(page, 'usage-light');
    await page.emulateMedia({ colorScheme: 'dark' });
    await expectAccessible(page);
    await screenshot(page, 'usage-dark');
    await page.getByRole('combobox', { name: 'Period' }).selectOption('7');
    await table.getByRole('cell', { name: today }).waitFor();
  }));

test('the chat and its settings are accessible in light and dark', () =>
  inPage(browser, server.address, {}, async (page) => {
    await page.getByText('135M parameters').waitFor();
    await expectAccessible(page);
    await answered(page, 'Write a Python function that checks whether a number is prime.');
    for (const scheme of ['light', 'dark'] as const) {
      await page.emulateMedia({ colorScheme: scheme });
      await expectAccessible(page);
      await screenshot(page, `chat-${scheme}`);
      await page.getByRole('button', { name: 'Settings' }).click();
      await expectAccessible(page);
      await screenshot(page, `settings-${scheme}`);
      await page.keyboard.press('Escape');
    }
  }));

test('language and theme are chosen and remembered', () =>
  inPage(browser, server.address, {}, async (page) => {
    const ground = () => page.evaluate(() => getComputedStyle(document.body).backgroundColor);
    const light = await ground();
    await page.getByRole('button', { name: 'Theme: As the system' }).click();
    await page.getByRole('button', { name: 'Theme: Light' }).click();
    await page.getByRole('button', { name: 'Theme: Dark' }).waitFor();
    const dark = await ground();
    expect(dark).not.toBe(light);
    await page.getByRole('button', { name: '切换到中文' }).click();
    await page.getByText('想了解些什么？').waitFor();
    expect(await page.locator('html').getAttribute('lang')).toBe('zh-Hans');
    await page.reload();
    await page.getByText('想了解些什么？').waitFor();
    expect(await ground()).toBe(dark);
    await expectAccessible(page);
    await screenshot(page, 'chat-empty-zh-dark');
    await page.getByRole('link', { name: '监控' }).click();
    await page.getByRole('img', { name: /^每秒 token 数/ }).waitFor();
    await screenshot(page, 'dashboard-zh-dark');
    await page.getByRole('button', { name: 'Switch to English' }).click();
    await page.getByRole('heading', { name: 'Dashboard' }).waitFor();
  }));

test('a browser in Chinese gets the page in Chinese', () =>
  inPage(browser, server.address, { locale: 'zh-CN' }, async (page) => {
    await page.getByText('想了解些什么？').waitFor();
    await answered(page, '写一个判断质数的 Python 函数。');
    await screenshot(page, 'chat-zh-light');
    await page.getByRole('button', { name: '设置' }).click();
    await expectAccessible(page);
    await screenshot(page, 'settings-zh-light');
  }));

test('a phone shows all of it without scrolling sideways', () =>
  inPage(
    browser,
    server.address,
    { viewport: PHONE, hasTouch: true, isMobile: true },
    async (page) => {
      const overflow = () =>
        page.evaluate(() => document.documentElement.scrollWidth - window.innerWidth);
      expect(await overflow()).toBeLessThanOrEqual(0);
      await screenshot(page, 'phone-empty');
      await answered(page, 'Write a Python function that checks whether a number is prime.');
      expect(await overflow()).toBeLessThanOrEqual(0);
      await expectAccessible(page);
      await screenshot(page, 'phone-chat');
      for (const name of ['Dashboard', 'Usage']) {
        await page.getByRole('link', { name }).tap();
        await page.getByRole('img').first().waitFor();
        expect(await overflow()).toBeLessThanOrEqual(0);
        await expectAccessible(page);
        await screenshot(page, `phone-${name.toLowerCase()}`);
      }
      await page.getByRole('button', { name: 'Settings' }).tap();
      await page.getByRole('dialog').waitFor();
      await screenshot(page, 'phone-settings');
    },
  ));

test('the keyboard reaches everything', () =>
  inPage(browser, server.address, {}, async (page) => {
    await page.reload();
    await page.getByRole('textbox', { name: 'Message' }).and(page.locator(':focus')).waitFor();
    await page.evaluate(() => (document.activeElement as HTMLElement).blur());
    const names: string[] = [];
    for (let i = 0; i < 16; ++i) {
      await page.keyboard.press('Tab');
      names.push(
        await page.evaluate(() => {
          const element = document.activeElement;
          return element?.getAttribute('aria-label') ?? element?.textContent ?? '';
        }),
      );
    }
    for (const name of ['Skip to content', 'Dashboard', 'Usage', 'Settings', 'Message']) {
      expect(names).toContain(name);
    }
    await page.getByRole('link', { name: 'Skip to content' }).focus();
    await page.keyboard.press('Enter');
    await page.locator('main:focus').waitFor();
    await page.getByRole('textbox', { name: 'Message' }).focus();
    await page.keyboard.type('two');
    await page.keyboard.press('Shift+Enter');
    await page.keyboard.type('lines');
    expect(await page.getByRole('textbox', { name: 'Message' }).inputValue()).toBe('two\nlines');
    expect(await page.locator('article').count()).toBe(0);
  }));

test('where the server wants a key, it is asked for and stays with the tab', () =>
  inPage(browser, guarded.address, {}, async (page) => {
    const field = page.getByRole('textbox', { name: 'API key' }).or(page.getByLabel('API key'));
    await page.getByText('This server asks for an API key.').first().waitFor();
    await expectAccessible(page);
    await screenshot(page, 'key-light');
    await field.first().fill('fathom-wrong');
    await page.getByRole('button', { name: 'Use key' }).click();
    await page.getByText('The server does not accept this key.').waitFor();
    await field.first().fill(guarded.key);
    await page.getByRole('button', { name: 'Use key' }).click();
    await page.getByText('135M parameters').waitFor();
    await ask(page, 'Hello');
    await lastAnswer(page).locator('.markdown').waitFor();
    await page.keyboard.press('Escape');
    await answerEnds(page);
    await page.getByRole('link', { name: 'Usage' }).click();
    await page.getByRole('cell', { name: 'visitor' }).waitFor();
    const kept = await page.evaluate(() => [
      JSON.stringify({ ...sessionStorage }),
      JSON.stringify({ ...localStorage }),
    ]);
    expect(kept[0]).toContain(guarded.key);
    expect(kept[1]).not.toContain(guarded.key);
  }));
