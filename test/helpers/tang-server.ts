import { spawn } from 'node:child_process';
import { mkdtemp, readdir, readFile, rm } from 'node:fs/promises';
import { createServer, type Server } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { hostRunner } from '../../src/host/runner.ts';

/** Debian's tang on the loopback interface, which a guest sees as 10.0.2.2. Its keys can be others for a while. */
export interface TangServer extends AsyncDisposable {
  readonly port: number;
  /** SHA-256 of the signing key that it began with. */
  readonly thumbprint: string;
  /** Answers from now on, with its own keys or with `other` ones. */
  start(other?: boolean): Promise<void>;
  stop(): Promise<void>;
}

const LIBEXEC = '/usr/libexec';

export async function tangServer(): Promise<TangServer> {
  const folder = await mkdtemp(join(tmpdir(), 'amslpr-tang-'));
  const [own, other] = [join(folder, 'own'), join(folder, 'other')];
  for (const keys of [own, other]) {
    await hostRunner.run(['mkdir', keys]);
    await hostRunner.run([join(LIBEXEC, 'tangd-keygen'), keys]);
  }
  let listener: Server | undefined;
  let port = 0;
  const stop = async (): Promise<void> => {
    const closing = listener;
    listener = undefined;
    if (closing !== undefined) await new Promise((resolve) => closing.close(resolve));
  };
  const start = async (strange = false): Promise<void> => {
    await stop();
    // tangd speaks on its standard input and output: systemd's socket starts one for each connection.
    const server = createServer((socket) => {
      const tangd = spawn(join(LIBEXEC, 'tangd'), [strange ? other : own], { stdio: ['pipe', 'pipe', 'ignore'] });
      for (const stream of [socket, tangd.stdin, tangd.stdout]) stream.on('error', () => undefined);
      socket.pipe(tangd.stdin);
      tangd.stdout.pipe(socket);
    });
    await new Promise<void>((resolve, reject) => {
      server.once('error', reject);
      server.listen(port, '127.0.0.1', resolve);
    });
    const address = server.address();
    port = address !== null && typeof address === 'object' ? address.port : port;
    listener = server;
  };
  await start();
  return {
    port,
    thumbprint: await signingThumbprint(own),
    start,
    stop,
    async [Symbol.asyncDispose]() {
      await stop();
      await rm(folder, { recursive: true, force: true });
    },
  };
}

async function signingThumbprint(folder: string): Promise<string> {
  for (const name of await readdir(folder)) {
    const key = JSON.parse(await readFile(join(folder, name), 'utf8')) as { key_ops?: string[] };
    if (key.key_ops?.includes('verify') !== true) continue;
    return (await hostRunner.run(['jose', 'jwk', 'thp', '-i', join(folder, name), '-a', 'S256'])).stdout.trim();
  }
  throw new Error('tangd-keygen made no signing key');
}
