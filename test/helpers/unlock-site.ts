import { readFile } from 'node:fs/promises';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, expect, it } from 'vitest';
import type { Board } from '../../src/qemu/board.ts';
import { openBundle } from '../../src/qemu/bundle.ts';
import type { Device, DeviceStatus } from '../../src/qemu/device.ts';
import type { UnlockChoice } from '../../src/qemu/ephemeral-site.ts';
import type { MachineName } from '../../src/qemu/machine.ts';
import { placesOf } from '../boot/canaries.ts';
import { type Drive, drive, restart } from '../boot/drive.ts';
import { builtImage } from '../image/built-image.ts';

/** One device of a method, and what a person does with it. */
export class Site {
  board: Board = {};
  readonly #machine: MachineName | undefined;
  card!: Drive;
  device!: Device;

  /** `machine`: as QEMU calls it; virt when it is not given. */
  constructor(machine?: MachineName) {
    this.#machine = machine;
  }

  async boot(choice: UnlockChoice, hostname: string, given?: string): Promise<void> {
    const image = given ?? (await builtImage()).image;
    this.card = await drive(image, choice, hostname, {
      board: this.board,
      ...(this.#machine ? { machine: this.#machine } : {}),
    });
    this.device = await this.card.login();
  }

  /** Waits for one state whatever comes before: a device that waits may go on by itself. */
  async becomes(state: string, step = ''): Promise<DeviceStatus> {
    const deadline = Date.now() + this.card.patience * 1000;
    let found = await this.device.status();
    while ((found.state !== state || !found.step.startsWith(step)) && Date.now() < deadline) {
      await sleep(3000);
      found = await this.device.status();
    }
    expect(found).toMatchObject({ state });
    return found;
  }

  async restart(): Promise<void> {
    this.device = await restart(this.card, this.device);
  }

  async recoveryKey(): Promise<string> {
    return (await openBundle(this.card.guest, this.card.site.identity)).luksRecoveryKey;
  }

  /** Gives a secret as a person does, and tells how that ended. */
  async unlock(secret: string): Promise<{ code: number; said: string }> {
    const { code, stdout, stderr } = await this.device.ssh.run(['amslpr-device', 'unlock'], {
      input: `${secret}\n`,
      okCodes: [0, 1],
      timeout: 600,
    });
    return { code, said: `${stdout}${stderr}` };
  }

  async enrol(more = ''): Promise<void> {
    const input = `${await this.recoveryKey()}\n${more}`;
    const said = await this.device.sudo(['amslpr-device', 'unlock', 'enrol'], { input, timeout: 600 });
    expect(said).toMatch(/is enrolled again/);
    // The new key and the recovery key, and no other way in.
    const dump = await this.device.sudo(['sh', '-c', 'cryptsetup luksDump /dev/disk/by-partuuid/*-04']);
    expect(dump.match(/^ {2}\d+: luks2$/gm)).toHaveLength(2);
  }

  /** Data closed, nothing of the application up, SSH there, and the cause wherever people look. */
  async closed(cause: RegExp, next: RegExp, state = 'waiting'): Promise<void> {
    const { message, hint } = await this.becomes(state, 'data-open');
    expect(message).toMatch(cause);
    expect(hint).toMatch(next);
    const { code } = await this.device.ssh.run(['findmnt', '/data'], { okCodes: [0, 1] });
    expect(code).toBe(1);
    const { stdout } = await this.device.ssh.run(['systemctl', 'is-active', 'nginx', 'amslpr', 'ssh'], {
      okCodes: [0, 3],
    });
    expect(stdout.split('\n')).toEqual(['inactive', 'inactive', 'active']);
    expect((await this.card.guest.bootFile('/STATUS.TXT'))?.toString()).toMatch(cause);
    expect((await readFile(this.card.guest.console, 'latin1')).replaceAll('\r\n', ' ')).toMatch(cause);
  }

  /** Data open and the application up. */
  async ready(): Promise<void> {
    await this.becomes('ready');
    await this.device.ssh.run(['findmnt', '/data']);
    await this.applicationIsUp();
  }

  async applicationIsUp(): Promise<void> {
    const deadline = Date.now() + 300_000;
    while (true) {
      const { stdout } = await this.device.ssh.run(['systemctl', 'is-active', 'nginx', 'amslpr'], { okCodes: [0, 3] });
      if (stdout === 'active\nactive') return;
      if (Date.now() > deadline) expect(stdout).toBe('active\nactive');
      await sleep(3000);
    }
  }

  async openByRecovery(): Promise<void> {
    const { code, said } = await this.unlock(await this.recoveryKey());
    expect(said).toMatch(/ready/);
    expect(code).toBe(0);
    await this.ready();
    expect((await this.device.ssh.run(['amslpr-device', 'status'])).stdout).toMatch(/unlock enrol/);
  }

  /**
   * Whether the machine key lies on the card, which is pulled for that, in any spelling; the SSH host key, which lies
   * there in the open, shows that the search finds what is there. `key`: one character a byte.
   */
  async keyIsOnCard(key: string): Promise<boolean> {
    expect(key).toHaveLength(32);
    const path = '/etc/ssh/ssh_host_ed25519_key';
    const [, , hostKey = ''] = (await this.device.sudo(['cat', path])).split('\n');
    await this.device.sudo(['sh', '-c', 'sync && sync']);
    await this.device.ssh.close();
    const [machine, known] = await placesOf(await this.card.guest.pullCard(), [key, hostKey]);
    expect(known).toEqual([2]);
    return machine?.length !== 0;
  }

  async stop(): Promise<void> {
    await this.device?.ssh.close();
    await this.card?.stop();
  }
}

/** First boot, restart, failure, recovery key and enrolling again with the method card, as tests of one describe(). */
export function cardMethod(site: Site): void {
  const lost = /the machine key cannot be read: No such file/;
  afterAll(() => site.stop());

  it('starts by itself, at first and later, and stays closed when its key is gone', async () => {
    await site.boot({ unlock: 'card' }, 'card');
    await site.ready();
    await site.restart();
    await site.ready();
    await site.device.sudo(['rm', '/var/lib/amslpr-device/keys/data.key']);
    await site.restart();
    await site.closed(lost, /amslpr-device unlock;.*unlock enrol/, 'failed');
  });

  it('is opened by the recovery key, at this start alone', async () => {
    await site.openByRecovery();
    await site.restart();
    await site.closed(lost, /unlock enrol/, 'failed');
  });

  it('is enrolled again, and opened, by one command', async () => {
    await site.enrol();
    await site.ready();
    await site.restart();
    await site.ready();
  });
}
