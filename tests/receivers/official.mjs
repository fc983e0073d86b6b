#!/usr/bin/env node
// The dialect `standard` verified by the official library (see package.json). Same use as verify.mjs:
//
//   node official.mjs --secret S [--port 0]
//   node official.mjs --golden tests/golden
//
// TIDINGS_NODE_MODULES may name a `node_modules` elsewhere, so that nothing need be installed here.

import { readdirSync, readFileSync } from 'node:fs';
import { createServer } from 'node:http';
import { createRequire } from 'node:module';
import { join } from 'node:path';
import { parseArgs } from 'node:util';

const packages = process.env.TIDINGS_NODE_MODULES;
const { Webhook } = createRequire(packages ? join(packages, 'index.js') : import.meta.url)('standardwebhooks');

const reasonAgainst = (secret, body, headers) => {
  try {
    new Webhook(secret).verify(body, headers);
    return null;
  } catch (error) {
    return error.message;
  }
};

const serve = ({ secret, host, port }) => {
  const server = createServer((request, response) => {
    const chunks = [];
    request.on('data', (chunk) => chunks.push(chunk));
    request.on('end', () => {
      const body = Buffer.concat(chunks).toString();
      const reason = reasonAgainst(secret, body, request.headers);
      const line = { ok: reason === null, dialect: 'standard', event_id: request.headers['webhook-id'] ?? null };
      console.log(JSON.stringify({ ...line, ...(reason !== null && { reason }), body }));
      response.writeHead(reason === null ? 204 : 401).end();
    });
  });
  server.listen(Number(port), host, () => console.log(server.address().port));
};

function* check(folder, name) {
  const { secrets, attempted_at: at } = JSON.parse(readFileSync(join(folder, name), 'utf8'));
  const request = readFileSync(join(folder, name.replace(/json$/, 'http')), 'utf8');
  const end = request.indexOf('\n\n');
  const body = request.slice(end + 2);
  const headers = Object.fromEntries(request.slice(0, end).split('\n').map((line) => line.split(': ')));
  const realNow = Date.now;
  if (reasonAgainst(secrets[0], body, headers) === null) yield 'passes although it is old';
  // The library reads the clock itself, so the clock is set to the time of the attempt.
  Date.now = () => Date.parse(at);
  for (const secret of secrets) {
    if (reasonAgainst(secret, body, headers) !== null) yield 'does not pass';
    if (reasonAgainst(secret, `${body} `, headers) === null) yield 'a forged body passes';
    if (reasonAgainst(secret, body, { ...headers, 'webhook-id': 'evt_0' }) === null) yield 'a forged id passes';
  }
  Date.now = realNow;
}

const golden = (root) => {
  const folder = join(root, 'standard');
  const names = readdirSync(folder).filter((name) => name.endsWith('.json'));
  const problems = names.flatMap((name) => [...check(folder, name)].map((problem) => `${name}: ${problem}`));
  for (const problem of problems) console.log(problem);
  console.log(`${names.length} vectors, ${problems.length} mismatches`);
  return problems.length > 0 || names.length === 0 ? 1 : 0;
};

const { values: options } = parseArgs({
  options: {
    dialect: { type: 'string', default: 'standard' },
    secret: { type: 'string' },
    host: { type: 'string', default: '127.0.0.1' },
    port: { type: 'string', default: '0' },
    golden: { type: 'string' },
  },
});
if (options.golden) {
  process.exitCode = golden(options.golden);
} else if (options.secret && options.dialect === 'standard') {
  serve(options);
} else {
  console.error('--secret S, or --golden DIR');
  process.exitCode = 2;
}
