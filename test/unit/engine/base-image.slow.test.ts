import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { silent } from '../../../src/core/log.ts';
import { identifyImage, openImageFile } from '../../../src/engine/base/image-file.ts';
import { type Cache, openCache } from '../../../src/host/cache.ts';
import { sha256 } from '../../../src/plan/digest.ts';

const content = Buffer.from('0123456789'.repeat(20_000));
const digest = sha256(content);
let cache: Cache;
let folder: string;
let url: string;
let asked: (string | undefined)[];
let answer: (request: IncomingMessage, response: ServerResponse) => void;
const server = createServer((request, response) => {
  asked.push(request.headers.range);
  answer(request, response);
});

beforeAll(async () => {
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  url = `http://127.0.0.1:${(server.address() as AddressInfo).port}/raspios.img.xz`;
});
afterAll(() => server.close());
beforeEach(async () => {
  asked = [];
  folder = await mkdtemp(join(tmpdir(), 'amslpr-base-'));
  cache = await openCache(folder);
  return () => rm(folder, { recursive: true, force: true });
});

const get = () => openImageFile(cache, { kind: 'raspios', image: url, sha256: digest }, silent);
const startOf = (request: IncomingMessage): number =>
  Number(/^bytes=(\d+)-$/.exec(request.headers.range ?? '')?.[1] ?? 0);

/** Sends `bytes` of what was asked for and breaks off. */
function breakOff(request: IncomingMessage, response: ServerResponse, bytes: number): void {
  const start = startOf(request);
  const rest = content.subarray(start);
  const headers = {
    'content-length': rest.length,
    'content-range': `bytes ${start}-${content.length - 1}/${content.length}`,
  };
  response.writeHead(start > 0 ? 206 : 200, headers);
  response.write(rest.subarray(0, bytes), () => {
    if (rest.length <= bytes) response.end();
    else setTimeout(() => response.destroy(), 20);
  });
}

describe('a base image at a URL', () => {
  it('is fetched once, checked, and kept', async () => {
    answer = (_request, response) => response.end(content);
    const { path } = await get();
    expect(await readFile(path)).toEqual(content);
    expect((await get()).path).toBe(path);
    expect(asked).toEqual([undefined]);
  });

  it('is gone on with, however often the server breaks off', async () => {
    answer = (request, response) => breakOff(request, response, 25_000);
    expect(await readFile((await get()).path)).toEqual(content);
    // Each request goes on where the file ends: it never starts over, and leaves nothing out. How much of a part has come
    // when the connection breaks is up to the host, but never more than was sent.
    const starts = asked.map((range) => Number(/^bytes=(\d+)-$/.exec(range ?? 'bytes=0-')?.[1]));
    const steps = starts.slice(1).map((start, at) => start - (starts[at] ?? Number.NaN));
    expect(steps.length).toBeGreaterThanOrEqual(7);
    expect(steps.filter((step) => !(step > 0 && step <= 25_000))).toEqual([]);
  });

  it('goes on in the next build where this one was stopped', async () => {
    let open = true;
    answer = (request, response) => {
      if (open) breakOff(request, response, asked.length === 1 ? 70_000 : 0);
      else breakOff(request, response, content.length);
    };
    await expect(get()).rejects.toThrow(/could not be fetched/);
    open = false;
    asked = [];
    expect(await readFile((await get()).path)).toEqual(content);
    expect(asked).toEqual(['bytes=70000-']);
  });

  it('is fetched from the start where the server knows no parts', async () => {
    answer = (request, response) => {
      if (asked.length === 1) breakOff(request, response, 30_000);
      else response.end(content);
    };
    expect(await readFile((await get()).path)).toEqual(content);
  });

  it('is not taken from a server that sends another part than was asked for', async () => {
    answer = (request, response) => {
      if (asked.length === 1) breakOff(request, response, 30_000);
      else if (asked.length === 2) {
        response.writeHead(206, { 'content-range': `bytes 0-${content.length - 1}/${content.length}` });
        response.end(content);
      } else breakOff(request, response, content.length);
    };
    expect(await readFile((await get()).path)).toEqual(content);
  });

  it('is refused when its content is another one, and nothing of it is kept', async () => {
    answer = (_request, response) => response.end(Buffer.from('something else'));
    await expect(get()).rejects.toThrow(
      new RegExp(`other content, with SHA-256 ${sha256('something else')} and 14 bytes`),
    );
    answer = (_request, response) => response.end(content);
    expect(await readFile((await get()).path)).toEqual(content);
  });

  it('starts again when what a lying server sent first does not fit the rest', async () => {
    answer = (request, response) => {
      if (asked.length > 1) return breakOff(request, response, content.length);
      response.writeHead(200, { 'content-length': content.length });
      response.write(Buffer.alloc(50_000, 'x'), () => setTimeout(() => response.destroy(), 20));
    };
    expect(await readFile((await get()).path)).toEqual(content);
  });

  it('is not asked for again and again where the server says no', async () => {
    answer = (_request, response) => response.writeHead(404).end();
    await expect(get()).rejects.toThrow(/the server answers 404/);
    expect(asked).toHaveLength(1);
  });

  it('is fetched again when the file in the cache was damaged', async () => {
    answer = (_request, response) => response.end(content);
    const { path } = await get();
    await writeFile(path, 'damaged');
    expect(await readFile((await get()).path)).toEqual(content);
  });
});

describe('a base image on this host', () => {
  it('is known by its content, and again when that changes', async () => {
    const image = join(folder, 'raspios.img');
    await writeFile(image, content);
    expect(await identifyImage(cache, { kind: 'raspios', image })).toBe(digest);
    await writeFile(image, 'another');
    expect(await identifyImage(cache, { kind: 'raspios', image })).toBe(sha256('another'));
  });

  it('is refused when it is not the one of its digest, or not there', async () => {
    const image = join(folder, 'raspios.img');
    await expect(identifyImage(cache, { kind: 'raspios', image })).rejects.toThrow(/does not exist/);
    await writeFile(image, 'another');
    const wanted = { kind: 'raspios', image, sha256: digest } as const;
    await expect(identifyImage(cache, wanted)).rejects.toThrow(`has SHA-256 ${sha256('another')}, not ${digest}`);
  });
});
