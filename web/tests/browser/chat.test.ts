import type { Browser, Page } from 'playwright-core';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { answerEnds, ask, inPage, lastAnswer, screenshot, startBrowser, streamOf } from './browser';
import { metricBecomes, startServer, type TestServer } from './server';

let server: TestServer;
let browser: Browser;

beforeAll(async () => {
  [server, browser] = await Promise.all([startServer(), startBrowser()]);
});
afterAll(async () => {
  await browser?.close();
  await server?.stop();
});

const chat = (run: (page: Page) => Promise<void>) => inPage(browser, server.address, {}, run);

/** Answers of the page's server are these; the bodies of its requests are kept. */
async function answerWith(page: Page, deltas: object[], bodies: unknown[] = []): Promise<void> {
  await page.route('**/v1/chat/completions', (route) => {
    bodies.push(route.request().postDataJSON());
    return route.fulfill({ contentType: 'text/event-stream', body: streamOf(deltas) });
  });
}

test('a message is sent, and its answer arrives token by token', () =>
  chat(async (page) => {
    await page.getByText('SmolLM2-135M · 135M parameters').waitFor();
    await screenshot(page, 'chat-empty-light');
    // Small models do not always know when to end.
    await page.evaluate(() => localStorage.setItem('fathom.sampling', '{"max_tokens":80}'));
    await page.reload();
    await ask(page, 'Tell a long story about the sea.');
    const lengths: number[] = [];
    const answer = lastAnswer(page);
    await answer.locator('.markdown').waitFor();
    while ((await answer.getAttribute('aria-busy')) === 'true') {
      lengths.push((await answer.locator('.markdown').innerText()).length);
      await page.waitForTimeout(20);
    }
    expect(new Set(lengths).size).toBeGreaterThan(3);
    await answer.getByText(/^\d{1,2} tokens$/).waitFor();
    await answer.getByText(/^[\d.,]+ tokens\/s$/).waitFor();
    await answer.getByText(/^first after \d/).waitFor();
    await page.getByRole('status').filter({ hasText: 'The answer is complete.' }).waitFor();
  }));

test('an answer is stopped by the button and by Esc, and the server knows', () =>
  chat(async (page) => {
    for (const stop of [
      () => page.getByRole('button', { name: 'Stop' }).click(),
      () => page.keyboard.press('Escape'),
    ]) {
      await ask(page, 'Write a very long story about the sea, with many chapters.');
      await lastAnswer(page).locator('.markdown').waitFor();
      await stop();
      await answerEnds(page);
      await lastAnswer(page).getByText('Stopped', { exact: true }).waitFor();
      expect(await metricBecomes(server, 'fathom_batch_answers', 0)).toBe(0);
    }
  }));

test('another answer takes the place of the first, and a question can be edited', () =>
  chat(async (page) => {
    const bodies: unknown[] = [];
    await answerWith(page, [{ content: 'An answer.' }], bodies);
    await ask(page, 'First question');
    await answerEnds(page);
    await page.getByRole('button', { name: 'Try again' }).click();
    await answerEnds(page);
    expect(await page.locator('article.answer').count()).toBe(1);
    expect(bodies).toHaveLength(2);
    expect(bodies[1]).toEqual(bodies[0]);
    await page.getByRole('button', { name: 'Edit' }).click();
    await page.getByRole('textbox', { name: 'Message' }).and(page.locator(':focus')).waitFor();
    await ask(page, 'Second question');
    await answerEnds(page);
    expect(bodies[2]).toMatchObject({ messages: [{ role: 'user', content: 'Second question' }] });
  }));

test('settings go along with each message', () =>
  chat(async (page) => {
    const bodies: unknown[] = [];
    await page.route('**/v1/chat/completions', (route) => {
      bodies.push(route.request().postDataJSON());
      return route.continue();
    });
    await page.getByRole('button', { name: 'Settings' }).click();
    const dialog = page.getByRole('dialog', { name: 'Settings' });
    await dialog.getByLabel('System prompt').fill('You are a pirate.');
    await dialog.getByLabel('Temperature').fill('0');
    await dialog.getByLabel('Max tokens').fill('8');
    await dialog.getByLabel('Stop at').fill('END\nFINIS');
    await dialog.getByLabel('Top-p').fill('7');
    await dialog.getByText('Must be 0 to 1').waitFor();
    expect(await dialog.getByLabel('Top-p').getAttribute('aria-invalid')).toBe('true');
    await page.keyboard.press('Escape');
    await ask(page, 'Hello');
    await answerEnds(page);
    await lastAnswer(page).getByText('8 tokens', { exact: true }).waitFor();
    await lastAnswer(page).getByText('Ended at the limit of tokens').waitFor();
    expect(bodies[0]).toEqual({
      model: 'SmolLM2-135M',
      messages: [
        { role: 'system', content: 'You are a pirate.' },
        { role: 'user', content: 'Hello' },
      ],
      temperature: 0,
      max_tokens: 8,
      stop: ['END', 'FINIS'],
      stream: true,
      stream_options: { include_usage: true },
    });
  }));

test('a conversation outlives a reload, until a new one begins', () =>
  chat(async (page) => {
    await answerWith(page, [{ content: 'It is **kept**.' }]);
    await ask(page, 'Is this kept?');
    await answerEnds(page);
    await page.reload();
    await page.getByText('Is this kept?').waitFor();
    await page.locator('strong', { hasText: 'kept' }).waitFor();
    await page.getByRole('button', { name: 'New chat' }).click();
    await page.getByText('What would you like to know?').waitFor();
    await page.reload();
    await page.getByText('What would you like to know?').waitFor();
  }));

test('reasoning is folded once the answer begins, and opens again', () =>
  chat(async (page) => {
    await answerWith(page, [
      { reasoning_content: 'Let me ' },
      { reasoning_content: 'think.' },
      { content: 'Forty-two.' },
    ]);
    await ask(page, 'What is the answer?');
    await answerEnds(page);
    await lastAnswer(page).getByText('Forty-two.').waitFor();
    expect(await page.getByText('Let me think.').isVisible()).toBe(false);
    await page.getByText('Thoughts').click();
    await page.getByText('Let me think.').waitFor();
    await page.getByText('Thoughts').click();
    expect(await page.getByText('Let me think.').isVisible()).toBe(false);
  }));

test('what a model says is never markup of the page', () =>
  chat(async (page) => {
    const content = [
      '<img src=x onerror="document.title=\'broken\'"> <script>document.title="broken"</script>',
      '[press](javascript:document.title="broken") [data](data:text/html,x) [web](https://a.example/)',
      '![picture](https://a.example/p.png)',
      '`<b>&amp;</b>` &lt;i&gt; &#60;u&#62;',
      '```html\n<script>document.title = "broken"</script>\n```',
      '<details open ontoggle="document.title=\'broken\'"><summary>x</summary></details>',
    ].join('\n\n');
    const requests: string[] = [];
    page.on('request', (request) => requests.push(request.url()));
    await answerWith(page, [{ content }]);
    await ask(page, '<b>Show me</b>');
    await answerEnds(page);
    const answer = lastAnswer(page);
    await answer.locator('.hljs-tag').first().waitFor();
    await page.getByText('<b>Show me</b>').waitFor();
    await answer.getByText('<img src=x').waitFor();
    await answer.getByText('<i> <u>').waitFor();
    expect(await answer.locator('.markdown code').first().innerText()).toBe('<b>&amp;</b>');
    const links = await answer
      .locator('a')
      .evaluateAll((all) =>
        all.map((link) => [link.getAttribute('href'), link.getAttribute('rel')]),
      );
    expect(links).toEqual([
      ['https://a.example/', 'noopener noreferrer nofollow'],
      ['https://a.example/p.png', 'noopener noreferrer nofollow'],
    ]);
    for (const name of ['img', 'script', 'b', 'i:not(.icon)', 'u', 'details', 'iframe']) {
      expect(await answer.locator(`.markdown ${name}`).count()).toBe(0);
    }
    expect(requests.filter((url) => !url.startsWith(server.address))).toEqual([]);
    expect(await page.title()).toBe('Chat · Fathom');
  }));

test('Markdown becomes lists, tables and coloured code', () =>
  chat(async (page) => {
    const content =
      '## Steps\n\n1. First *step*\n2. Second\n   - inner\n\n| a | b |\n| --- | ---: |\n| 1 | 2 |\n\n' +
      '```python\ndef square(x):\n    return x * x  # a comment\n```\n';
    await answerWith(page, [{ content: content.slice(0, 60) }, { content: content.slice(60) }]);
    await ask(page, 'Show me everything');
    await answerEnds(page);
    const answer = lastAnswer(page);
    await answer.getByRole('heading', { name: 'Steps' }).waitFor();
    expect(await answer.locator('ol > li').count()).toBe(2);
    expect(await answer.locator('ol ul > li').innerText()).toBe('inner');
    expect(await answer.locator('td.align-right').innerText()).toBe('2');
    await answer.locator('.hljs-keyword', { hasText: 'def' }).waitFor();
    await answer.getByRole('button', { name: 'Copy code' }).click();
    await answer.getByRole('button', { name: 'Copied' }).waitFor();
  }));

test('what goes wrong is said in the page', () =>
  chat(async (page) => {
    await page.route('**/v1/chat/completions', (route) =>
      route.fulfill({
        status: 429,
        contentType: 'application/json',
        body: JSON.stringify({ error: { message: 'The queue is full.', code: 'queue_full' } }),
      }),
    );
    await ask(page, 'Hello');
    await page.getByRole('alert').filter({ hasText: 'The queue is full.' }).waitFor();
    await page.unroute('**/v1/chat/completions');
    await page.route('**/v1/chat/completions', (route) => route.abort());
    await page.getByRole('button', { name: 'Try again' }).click();
    await page.getByRole('alert').filter({ hasText: 'The server cannot be reached.' }).waitFor();
    await page.unroute('**/v1/chat/completions');
    await page.getByRole('button', { name: 'Try again' }).click();
    await lastAnswer(page).locator('.markdown').waitFor();
    await page.keyboard.press('Escape');
    await answerEnds(page);
  }));
