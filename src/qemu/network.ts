import { connect, createServer } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Ports } from './command.ts';

async function freePort(): Promise<number> {
  const server = createServer();
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject);
    server.listen(0, '127.0.0.1', resolve);
  });
  const address = server.address();
  await new Promise((resolve) => server.close(resolve));
  if (address === null || typeof address === 'string') throw new TypeError('a TCP server without a port');
  return address.port;
}

/** Ports of this host that nobody uses now. */
export async function freePorts(): Promise<Ports> {
  const [ssh, http, https] = [await freePort(), await freePort(), await freePort()];
  return { ssh, http, https };
}

/**
 * The first line that a server says by itself within `seconds`, or undefined. QEMU accepts every connection and only then
 * asks the guest, so that being connected means nothing.
 */
export function banner(port: number, seconds: number): Promise<string | undefined> {
  return new Promise((resolve) => {
    const socket = connect(port, '127.0.0.1');
    const finish = (line?: string): void => {
      socket.destroy();
      resolve(line);
    };
    socket.setTimeout(seconds * 1000, () => finish());
    socket.on('error', () => finish());
    socket.on('close', () => finish());
    socket.once('data', (chunk) => finish(chunk.toString('latin1').split('\r')[0]));
  });
}

/**
 * The firewall shuts out whoever opens six connections in thirty seconds, and QEMU's network repeats each one that a busy
 * guest does not answer at once: only what is asked this seldom cannot lock itself out.
 */
const PAUSE = 40;

/**
 * Waits for an SSH server's greeting. `given` says when to give up early; `announced` how often the console said that the
 * server starts: each time is worth a try at once. @returns whether the greeting came
 */
export async function waitForSshBanner(
  port: number,
  seconds: number,
  given: () => boolean,
  announced: () => Promise<number>,
): Promise<boolean> {
  const deadline = Date.now() + seconds * 1000;
  let tried = 0;
  let next = Date.now() + PAUSE * 1000;
  while (Date.now() < deadline && !given()) {
    const times = await announced();
    if (times > tried || Date.now() > next) {
      tried = times;
      if ((await banner(port, 20))?.startsWith('SSH-2.0-')) return true;
      next = Date.now() + PAUSE * 1000;
    }
    await sleep(1000);
  }
  return false;
}
