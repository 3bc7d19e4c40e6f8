// Packs what Vite built (build/) into dist/, which is committed and built into the program: each
// file compressed with gzip, by an implementation in JavaScript, so that the bytes do not depend on
// the machine. Fails where the page has become too large.
import { readFileSync, writeFileSync, readdirSync, mkdirSync, rmSync } from 'node:fs';
import { dirname, join, relative, sep } from 'node:path';
import { gzipSync } from 'fflate';

const MOST_BYTES = 150_000;

/** @param {string} directory @returns {string[]} */
function filesIn(directory) {
  return readdirSync(directory, { withFileTypes: true })
    .flatMap((entry) => {
      const path = join(directory, entry.name);
      return entry.isDirectory() ? filesIn(path) : [path];
    })
    .sort();
}

/** The licences of what is bundled, which must travel with it. */
function notices() {
  const lock = JSON.parse(readFileSync('package-lock.json', 'utf8'));
  const parts = [];
  for (const [path, entry] of Object.entries(lock.packages)) {
    // Types and optional peers are not bundled.
    if (path === '' || entry.dev || entry.optional || entry.peer || path.includes('@types/'))
      continue;
    const name = path.slice('node_modules/'.length);
    const licence = readdirSync(path).find((file) => /^licen[cs]e/i.test(file));
    if (!licence) throw new Error(`${name} ships no licence file`);
    const text = readFileSync(join(path, licence), 'utf8').replaceAll('\r\n', '\n').trim();
    parts.push(`${name} ${entry.version} (${entry.license})\n\n${text}\n`);
  }
  return `What others wrote in this web page.\n\n${parts.join(`\n${'-'.repeat(72)}\n\n`)}`;
}

writeFileSync('build/licences.txt', notices());
rmSync('dist', { recursive: true, force: true });
let total = 0;
for (const path of filesIn('build')) {
  const name = relative('build', path).split(sep).join('/');
  const packed = gzipSync(readFileSync(path), { level: 9, mtime: 0 });
  packed[9] = 255; // the field for the operating system: unknown
  const target = join('dist', `${name}.gz`);
  mkdirSync(dirname(target), { recursive: true });
  writeFileSync(target, packed);
  total += packed.length;
  console.log(`${String(packed.length).padStart(8)}  ${name}`);
}
console.log(`${String(total).padStart(8)}  in all, of at most ${MOST_BYTES}`);
if (total > MOST_BYTES) {
  console.error('The page is too large.');
  process.exit(1);
}
