import { connect } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { expect, it } from 'vitest';
import { startGuest } from '../../src/qemu/guest.ts';
import { banner } from '../../src/qemu/network.ts';
import { builtImage } from '../image/built-image.ts';
import { PATIENCE } from './drive.ts';
import { nothingMade } from './nothing-made.ts';

/** What comes back for a request: nothing, when no port is open. */
function answerTo(port: number, request: string): Promise<string> {
  return new Promise((resolve) => {
    let text = '';
    const socket = connect(port, '127.0.0.1', () => socket.write(request));
    socket.setTimeout(20_000, () => socket.destroy());
    socket.on('data', (chunk) => {
      text += chunk.toString('latin1');
    });
    socket.on('error', () => undefined);
    socket.on('close', () => resolve(text));
  });
}

it('a device without a site file waits, opens no port and makes no secret', async () => {
  await using guest = await startGuest((await builtImage()).image);
  const deadline = Date.now() + PATIENCE.ssh * 1000;
  let status = '';
  while (!/waiting/.test(status) && Date.now() < deadline) {
    await sleep(5000);
    status = (await guest.bootFile('/STATUS.TXT'))?.toString().trim() ?? '';
  }
  expect(status).toMatch(/waiting/);
  expect(status).toMatch(/site\.yaml/);
  // Whatever would come up after the first boot has the time to.
  await sleep(45_000);
  expect(await banner(guest.ports.ssh, 20)).toBeUndefined();
  expect(await answerTo(guest.ports.http, 'GET / HTTP/1.0\r\n\r\n')).toBe('');
  expect(await answerTo(guest.ports.https, '\x16\x03\x01\x00\x05hello')).toBe('');

  await nothingMade(guest);
});
