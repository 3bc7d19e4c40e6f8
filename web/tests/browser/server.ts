// A `fathom serve` with the default model, on a free port of the loopback interface.
import { spawn, type ChildProcess } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { createInterface } from 'node:readline';

const BINARY = process.env['FATHOM_BINARY'] ?? resolve('../build/fathom');

export interface TestServer {
  address: string;
  key: string; // empty where it asks for none
  stop: () => Promise<void>;
}

function outputOf(args: string[]): Promise<string> {
  return new Promise((done, failed) => {
    const child = spawn(BINARY, args, { stdio: ['ignore', 'pipe', 'inherit'] });
    let text = '';
    child.stdout.on('data', (piece: Buffer) => (text += piece.toString()));
    child.on('error', failed);
    child.on('close', (code) =>
      code === 0 ? done(text) : failed(new Error(`fathom ${args.join(' ')}: exit code ${code}`)),
    );
  });
}

async function listening(child: ChildProcess): Promise<string> {
  if (!child.stderr) throw new Error('the server has no standard error');
  const lines: string[] = [];
  for await (const line of createInterface(child.stderr)) {
    lines.push(line);
    const address = /is served at (http:\S+)/.exec(line)?.[1];
    if (address !== undefined) {
      child.stderr.resume();
      return address;
    }
  }
  throw new Error(`the server did not start: ${lines.join('\n')}`);
}

export async function startServer(options: { keys?: boolean } = {}): Promise<TestServer> {
  const directory = mkdtempSync(join(tmpdir(), 'fathom-web-'));
  const database = join(directory, 'serve.db');
  const prices = join(directory, 'prices.json');
  writeFileSync(prices, JSON.stringify({ '*': { input: 0.5, cached_input: 0.1, output: 1.5 } }));
  const args = ['serve', '--port', '0', '--name', 'SmolLM2-135M', '--log', 'none'];
  args.push('--database', database, '--prices', prices);
  let key = '';
  if (options.keys) {
    args.push('--auth');
    const printed = await outputOf(['keys', 'create', 'visitor', '--database', database]);
    key = /fathom-\w{20,}/.exec(printed)?.[0] ?? '';
  }
  const child = spawn(BINARY, args, { stdio: ['ignore', 'ignore', 'pipe'] });
  const ended = new Promise<void>((done) => child.on('close', () => done()));
  const stop = async () => {
    child.kill('SIGTERM');
    await ended;
    rmSync(directory, { recursive: true, force: true });
  };
  try {
    return { address: await listening(child), key, stop };
  } catch (problem) {
    await stop();
    throw problem;
  }
}

/** A metric's value, once it is `wanted`; the last one if it does not become that. */
export async function metricBecomes(
  server: TestServer,
  name: string,
  wanted: number,
): Promise<number> {
  let value = NaN;
  for (let i = 0; i < 200 && value !== wanted; ++i) {
    const text = await (await fetch(`${server.address}/metrics`)).text();
    value = Number(new RegExp(`^${name} (\\S+)`, 'm').exec(text)?.[1]);
    if (value !== wanted) await new Promise((done) => setTimeout(done, 50));
  }
  return value;
}
