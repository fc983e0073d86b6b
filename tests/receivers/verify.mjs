#!/usr/bin/env node
// A receiver that verifies webhooks by the vendors' own rules. Node 18 or later, no packages; shares nothing with
// Tidings, nor with verify.py.
//
//   node verify.mjs --dialect numora --secret S [--secret OLDER] [--token T] [--host H] [--port 0]
//       prints its port, then one JSON line for each request, with the body as it came; answers 204 to what verifies,
//       401 to what does not, and to LimAI's challenge with the value
//
//   node verify.mjs --golden tests/golden
//       checks the golden vectors, and that nothing forged passes; exits with 1 on any mismatch

import { createHmac, timingSafeEqual } from 'node:crypto';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { createServer } from 'node:http';
import { join } from 'node:path';
import { parseArgs } from 'node:util';

const TOLERANCE = 300; // seconds that a signed time may lie from now

class Refused extends Error {}

const need = (condition, reason) => {
  if (!condition) throw new Refused(reason);
};

const hmac = (key, ...parts) => {
  const mac = createHmac('sha256', key);
  for (const part of parts) mac.update(part);
  return mac;
};

const same = (left, right) => {
  const [a, b] = [Buffer.from(left), Buffer.from(right)];
  return a.length === b.length && timingSafeEqual(a, b);
};

const header = (headers, name) => {
  need(headers[name] !== undefined, `no header ${name}`);
  return headers[name];
};

const isFresh = (seconds, now) => Math.abs(now - seconds) <= TOLERANCE;

// One function for each vendor. `headers` have lowercase names, `body` is a Buffer, `now` is in seconds since 1970.
const VERIFY = {
  standard({ headers, body, secret, now }) {
    const [id, stamp] = [header(headers, 'webhook-id'), header(headers, 'webhook-timestamp')];
    need(/^\d+$/.test(stamp) && isFresh(Number(stamp), now), 'stale timestamp');
    const key = Buffer.from(secret.replace(/^whsec_/, ''), 'base64');
    const expected = `v1,${hmac(key, `${id}.${stamp}.`, body).digest('base64')}`;
    const sent = header(headers, 'webhook-signature').split(' ');
    need(sent.filter((one) => same(one, expected)).length > 0, 'wrong signature');
  },

  numora({ headers, body, secret, now }) {
    const stamp = header(headers, 'x-numora-webhook-timestamp');
    const [first, ...rest] = header(headers, 'x-numora-webhook-signature').split(',');
    need(first === `t=${stamp}`, 'two different timestamps');
    const expected = `v1=${hmac(secret, `${stamp}.`, body).digest('hex')}`;
    need(rest.filter((one) => same(one, expected)).length > 0, 'wrong signature');
    need(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$/.test(stamp), 'malformed timestamp');
    need(isFresh(Date.parse(stamp) / 1000, now), 'stale timestamp');
    need(JSON.parse(body).id === header(headers, 'x-numora-webhook-id'), 'two different event ids');
  },

  number7ai({ headers, body, secret }) {
    need(same(header(headers, 'x-number7ai-signature'), hmac(secret, body).digest('hex')), 'wrong signature');
  },

  beltic({ headers, body, secret, token }) {
    need(token !== undefined && same(header(headers, 'x-webhook-token'), token), 'wrong token');
    need(same(header(headers, 'x-webhook-signature'), hmac(secret, body).digest('hex')), 'wrong signature');
  },

  limai({ headers, body, secret }) {
    const expected = `sha256=${hmac(secret, body).digest('hex')}`;
    need(same(header(headers, 'x-webhook-signature'), expected), 'wrong signature');
  },

  docintell({ headers, body, secret }) {
    const expected = `sha256=${hmac(secret, body).digest('hex')}`;
    need(same(header(headers, 'x-docintell-signature'), expected), 'wrong signature');
    const event = JSON.parse(body);
    need(event.event === header(headers, 'x-docintell-event'), 'two different event types');
    const seconds = String(Date.parse(event.timestamp) / 1000);
    need(seconds === header(headers, 'x-docintell-timestamp'), 'two different times');
  },
};
const SIDE_BY_SIDE = ['standard', 'numora'];

// Passes if one of the secrets does; throws `Refused` otherwise.
const verify = (dialect, { secrets, ...request }) => {
  need(request.headers['content-type'] === 'application/json', 'not application/json');
  let refused;
  for (const secret of secrets) {
    try {
      return VERIFY[dialect]({ ...request, secret });
    } catch (error) {
      refused = error instanceof Refused ? error : new Refused(`malformed: ${error.message}`);
    }
  }
  throw refused;
};

const eventId = (dialect, headers, event) =>
  ({
    standard: () => headers['webhook-id'],
    numora: () => event.id,
    beltic: () => event.data.id,
    limai: () => event.eventId,
  })[dialect]?.() ?? null;

// --- the receiver

const receive = (options, headers, body) => {
  const line = { ok: true, dialect: options.dialect, event_id: null, body: body.toString() };
  try {
    const { secret: secrets, token } = options;
    verify(options.dialect, { headers, body, secrets, token, now: Date.now() / 1000 });
    const event = JSON.parse(body);
    line.event_id = eventId(options.dialect, headers, event);
    if (options.dialect === 'limai' && event.eventType === 'VERIFICATION') line.challenge = event.challenge;
  } catch (error) {
    Object.assign(line, { ok: false, reason: error.message });
  }
  return line;
};

const serve = (options) => {
  const server = createServer((request, response) => {
    const chunks = [];
    request.on('data', (chunk) => chunks.push(chunk));
    request.on('end', () => {
      const line = receive(options, request.headers, Buffer.concat(chunks));
      console.log(JSON.stringify(line));
      if (line.challenge !== undefined) {
        response.writeHead(200, { 'content-type': 'application/json' });
        response.end(JSON.stringify({ challenge: line.challenge }));
      } else {
        response.writeHead(line.ok ? 204 : 401).end();
      }
    });
  });
  server.listen(Number(options.port), options.host, () => console.log(server.address().port));
};

// --- the golden vectors

const readRequest = (path) => {
  const bytes = readFileSync(path);
  const end = bytes.indexOf('\n\n');
  const lines = bytes.subarray(0, end).toString().split('\n');
  const headers = Object.fromEntries(
    lines.map((line) => {
      const colon = line.indexOf(': ');
      return [line.slice(0, colon).toLowerCase(), line.slice(colon + 2)];
    }),
  );
  return { headers, body: bytes.subarray(end + 2) };
};

const passes = (dialect, request) => {
  try {
    verify(dialect, request);
    return true;
  } catch {
    return false;
  }
};

// What must not pass, by name.
function* forgeries(dialect, request) {
  const { headers, body, secrets, token, now } = request;
  for (const place of new Set([0, 1, body.length >> 1, body.length - 1])) {
    const flipped = Buffer.from(body);
    flipped[place] ^= 1;
    yield [`body flipped at ${place}`, { ...request, body: flipped }];
  }
  yield ['another secret', { ...request, secrets: [`${secrets[0].slice(0, -6)}AAAAA=`] }];
  for (const name of Object.keys(headers).filter((name) => name.endsWith('signature'))) {
    yield [`no ${name}`, { ...request, headers: { ...headers, [name]: undefined } }];
    yield [`empty ${name}`, { ...request, headers: { ...headers, [name]: '' } }];
  }
  if (token) yield ['another token', { ...request, token: `${token}x` }];
  if (SIDE_BY_SIDE.includes(dialect)) {
    for (const late of [-TOLERANCE - 2, TOLERANCE + 2]) yield [`${late} s later`, { ...request, now: now + late }];
  }
}

// Where the members of an event lie in each body.
const PARTS = {
  standard: (body) => [body.type, body.timestamp, body.data],
  numora: (body) => [body.type, body.created_at, body.data],
  number7ai: ({ event, timestamp, ...data }) => [event, timestamp, data],
  beltic: ({ data: { type, attributes } }) => {
    const { status, occurred_at, ...data } = attributes;
    return [type === 'document_status_change' && status, occurred_at, data];
  },
  limai: ({ eventId, eventType, ...data }) => [eventType, undefined, data],
  docintell: (body) => [body.event, body.timestamp, body.data],
};

function* checkBody(dialect, body, event, text) {
  const [type, time, data] = PARTS[dialect](JSON.parse(body));
  if (type !== event.type) yield `type is ${type}`;
  if (JSON.stringify(data) !== JSON.stringify(event.data)) yield `data is ${JSON.stringify(data)}`;
  const exact = dialect === 'number7ai' ? event.occurred_at : event.occurred_at?.replace(/\.\d+Z$/, 'Z');
  if (exact && time && time !== exact) yield `time is ${time}`;
  const raw = /"data": ([^]*)\n {2}}\n}\n$/.exec(text)[1];
  const flat = ['number7ai', 'beltic', 'limai'].includes(dialect);
  const spliced = flat && Object.keys(event.data).length === 0 ? '' : flat ? raw.slice(1, -1) : raw;
  if (!body.includes(spliced)) yield 'data is not there byte for byte';
}

function* checkGolden(dialect, folder, name) {
  const text = readFileSync(join(folder, name), 'utf8');
  const vector = JSON.parse(text);
  const path = join(folder, name.replace(/json$/, 'http'));
  if (!existsSync(path)) {
    if (!existsSync(path.replace(/http$/, 'unrenderable.txt'))) yield 'neither a request nor a reason';
    return;
  }
  const { headers, body } = readRequest(path);
  const { secrets, token, attempted_at: at, event, challenge } = vector;
  const request = { headers, body, secrets, token, now: Date.parse(at) / 1000 };
  if (event) yield* checkBody(dialect, body, event, text);
  else if (JSON.parse(body).challenge !== challenge.value) yield 'another challenge';
  for (const [age, secret] of secrets.entries()) {
    const expected = age === 0 || SIDE_BY_SIDE.includes(dialect);
    if (passes(dialect, { ...request, secrets: [secret] }) !== expected) yield `secret ${age}: passes or fails wrongly`;
  }
  for (const [what, forged] of forgeries(dialect, request)) {
    if (passes(dialect, forged)) yield `${what}: passes`;
  }
}

const problemsOf = (...vector) => {
  try {
    return [...checkGolden(...vector)];
  } catch (error) {
    return [error.message];
  }
};

const golden = (root) => {
  let [total, wrong] = [0, 0];
  for (const dialect of Object.keys(VERIFY)) {
    const folder = join(root, dialect);
    for (const name of readdirSync(folder).filter((name) => name.endsWith('.json'))) {
      total += 1;
      for (const problem of problemsOf(dialect, folder, name)) {
        wrong += 1;
        console.log(`${join(folder, name)}: ${problem}`);
      }
    }
  }
  console.log(`${total} vectors, ${wrong} mismatches`);
  return wrong > 0 || total === 0 ? 1 : 0;
};

const { values: options } = parseArgs({
  options: {
    dialect: { type: 'string' },
    secret: { type: 'string', multiple: true },
    token: { type: 'string' },
    host: { type: 'string', default: '127.0.0.1' },
    port: { type: 'string', default: '0' },
    golden: { type: 'string' },
  },
});
if (options.golden) {
  process.exitCode = golden(options.golden);
} else if (VERIFY[options.dialect] && options.secret) {
  serve(options);
} else {
  console.error(`--dialect ${Object.keys(VERIFY).join('|')} and --secret, or --golden DIR`);
  process.exitCode = 2;
}
