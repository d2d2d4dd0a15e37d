import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import type { LogEntry } from '../../../src/core/log.ts';
import { silent } from '../../../src/core/log.ts';
import { mirrorsOf } from '../../../src/engine/archive.ts';
import { download, packageFile } from '../../../src/engine/download.ts';
import type { LockedPackage } from '../../../src/engine/lock.ts';
import { type Cache, openCache } from '../../../src/host/cache.ts';
import { sha256 } from '../../../src/plan/digest.ts';

const content = Buffer.from('0123456789'.repeat(1000));
const one: LockedPackage = {
  name: 'tiny',
  version: '1',
  architecture: 'arm64',
  size: content.length,
  sha256: sha256(content),
  archive: 'debian',
  path: 'pool/t/tiny+1.deb',
};
let cache: Cache;
let folder: string;
let url: string;
let answer: (request: IncomingMessage, response: ServerResponse) => void;
const server = createServer((request, response) => answer(request, response));
const get = (log = silent) => download(cache, [one], async () => mirrorsOf(url), log);

beforeAll(async () => {
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  url = `http://127.0.0.1:${(server.address() as AddressInfo).port}/debian`;
});
afterAll(() => server.close());
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'amslpr-download-'));
  cache = await openCache(folder);
  return () => rm(folder, { recursive: true, force: true });
});

const whole = (_request: IncomingMessage, response: ServerResponse): void => {
  response.end(content);
};

describe('download', () => {
  it('puts the checked file into the cache, tells of bytes, and asks for it once', async () => {
    const entries: LogEntry[] = [];
    const paths: (string | undefined)[] = [];
    answer = (request, response) => {
      paths.push(request.url);
      whole(request, response);
    };
    await get((entry) => entries.push(entry));
    await get();
    expect(await readFile(packageFile(cache, one))).toEqual(content);
    expect(paths).toEqual(['/debian/pool/t/tiny%2B1.deb']);
    expect(entries.at(-1)).toEqual({ kind: 'progress', step: 'download', done: 10000, total: 10000, unit: 'bytes' });
  });
  it('goes on where a process that is gone stopped', async () => {
    await writeFile(`${packageFile(cache, one)}.999999999.partial`, content.subarray(0, 4000));
    let range: string | undefined;
    answer = (request, response) => {
      range = request.headers.range;
      response.writeHead(206).end(content.subarray(4000));
    };
    await get();
    expect(range).toBe('bytes=4000-');
    expect(await readFile(packageFile(cache, one))).toEqual(content);
  });
  it.each([
    ['cut short', content.subarray(0, 5000)],
    ['changed, with the size as before', Buffer.alloc(content.length)],
  ])('finds a file of the cache that was %s, tells of it, and fetches it again', async (_, damaged) => {
    const entries: LogEntry[] = [];
    answer = whole;
    await get();
    await writeFile(packageFile(cache, one), damaged);
    await get((entry) => entries.push(entry));
    expect(await readFile(packageFile(cache, one))).toEqual(content);
    expect(entries[0]).toEqual({
      kind: 'warning',
      text: 'The package file of tiny 1 in the cache is damaged: it is fetched again.',
    });
  });
  it('takes a file that only has another time', async () => {
    answer = (_request, response) => response.writeHead(404).end();
    await writeFile(packageFile(cache, one), content);
    await get();
    expect(await readFile(packageFile(cache, one))).toEqual(content);
  });
  it('starts again when what was left is wrong', async () => {
    await writeFile(`${packageFile(cache, one)}.999999999.partial`, Buffer.alloc(4000));
    answer = (request, response) => {
      if (request.headers.range === undefined) response.end(content);
      else response.writeHead(206).end(content.subarray(4000));
    };
    await get();
    expect(await readFile(packageFile(cache, one))).toEqual(content);
  });
  it('goes on after a connection that broke', async () => {
    let tries = 0;
    answer = (request, response) => {
      tries += 1;
      if (tries > 1) {
        const from = Number(/\d+/.exec(request.headers.range ?? '0')?.[0]);
        response.writeHead(from > 0 ? 206 : 200).end(content.subarray(from));
        return;
      }
      response.writeHead(200, { 'content-length': content.length });
      response.write(content.subarray(0, 5000), () => response.destroy());
    };
    await get();
    expect(tries).toBe(2);
    expect(await readFile(packageFile(cache, one))).toEqual(content);
  });
  it.each([
    [
      'a version that has gone',
      (_: IncomingMessage, response: ServerResponse) => response.writeHead(404).end(),
      /tiny 1 \(arm64\) could not be fetched: the server answers 404/,
    ],
    [
      'other content',
      (_: IncomingMessage, response: ServerResponse) => response.end('evil'),
      /has other content: 4 bytes/,
    ],
  ])('refuses %s, keeps nothing, and names the verb', async (_what, respond, message) => {
    answer = respond;
    const failure: unknown = await get().catch((error: unknown) => error);
    expect(failure).toMatchObject({
      message: expect.stringMatching(message),
      problems: [{ hint: expect.stringContaining('`lock`') }],
    });
    expect(await readdir(cache.packages)).toEqual([]);
  });
});
