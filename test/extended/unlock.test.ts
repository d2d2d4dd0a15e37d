import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { hostRunner } from '../../src/host/runner.ts';
import { failures } from '../boot/drive.ts';
import { type TangServer, tangServer } from '../helpers/tang-server.ts';
import { tpmImage } from '../helpers/tpm-image.ts';
import { cardMethod, Site } from '../helpers/unlock-site.ts';
import { builtImage } from '../image/built-image.ts';
import { scratch } from '../image/small-image.ts';

// Each unlock method on its real counterpart, under virt: swtpm, tangd, a USB stick. First boot, restart, failure, the
// recovery key, and enrolling again. The steps of a method build on each other, in one guest.

let place: Awaited<ReturnType<typeof scratch>>;
/** The default image with a way to the TPM: see test/helpers/vtpm. Its checks would find the added program. */
const withTpm = async () => tpmImage((await builtImage()).image, place.path);
beforeAll(async () => {
  place = await scratch();
});
afterAll(() => place[Symbol.asyncDispose]());

describe('the method usb-key', () => {
  const site = new Site();
  const usb: { stick?: string } = {};
  site.board = { usb };
  let stick: string;
  afterAll(() => site.stop());

  async function makeStick(name: string): Promise<string> {
    const file = join(place.path, name);
    await hostRunner.run(['mkfs.vfat', '-n', 'AMSLPRKEY', '-C', file, '16384']);
    return file;
  }

  it('waits for a stick, and goes on by itself when one is put in', async () => {
    stick = await makeStick('stick');
    await site.boot({ unlock: 'usb-key' }, 'stick');
    expect((await site.becomes('waiting', 'data')).message).toMatch(/No USB stick labelled AMSLPRKEY/);
    await site.card.guest.plug(stick);
    await site.ready();
    // The drivers are there for as long as the key is read.
    expect((await site.device.ssh.run(['cat', '/proc/modules'])).stdout).not.toMatch(/^(usb_storage|uas) /m);
    expect(failures(await site.device.audit())).toEqual([]);
  });

  it('starts by itself with the stick', async () => {
    usb.stick = stick;
    await site.restart();
    await site.ready();
  });

  it('stays closed without it', async () => {
    delete usb.stick;
    await site.restart();
    await site.closed(/The USB stick with the key, labelled AMSLPRKEY, is not there/, /put it in.*recovery key/);
  });

  it('is opened by the recovery key, and takes a new stick', async () => {
    await site.openByRecovery();
    usb.stick = await makeStick('new-stick');
    await site.card.guest.plug(usb.stick);
    await site.enrol();
    await site.restart();
    await site.ready();
  });

  it('has its key on the stick, and nowhere on the card', async () => {
    const uuid = (await site.device.sudo(['sh', '-c', 'cryptsetup luksUUID /dev/disk/by-partuuid/*-04'])).trim();
    const argv = ['mcopy', '-n', '-i', usb.stick ?? '', `::amslpr-${uuid}.key`, '-'];
    const { stdout } = await hostRunner.run(argv, { env: { MTOOLSRC: '/dev/null' } });
    expect(await site.keyIsOnCard(Buffer.from(stdout, 'base64').toString('latin1'))).toBe(false);
  });
});

describe('the method tpm2', () => {
  const site = new Site();
  afterAll(() => site.stop());

  it('starts by itself, at first and later', async () => {
    site.board.tpm = join(place.path, 'tpm');
    await site.boot({ unlock: 'tpm2' }, 'chip', await withTpm());
    await site.ready();
    await site.restart();
    await site.ready();
  });

  it('stays closed when the chip was cleared', async () => {
    await site.device.sudo(['tpm2_clear', '-T', 'device:/dev/tpmrm0']);
    await site.restart();
    await site.closed(/does not know the key of this device: it was cleared/, /recovery key/);
  });

  it('is opened by the recovery key, and enrolled again', async () => {
    await site.openByRecovery();
    await site.enrol();
    await site.restart();
    await site.ready();
  });

  it('stays closed on a board without the chip', async () => {
    delete site.board.tpm;
    await site.restart();
    await site.closed(/This board shows no TPM/, /TPM/);
  });
});

describe('the method tpm2 with a PIN', () => {
  const site = new Site();
  const PIN = '736251';
  afterAll(() => site.stop());

  it('waits for a PIN at first', async () => {
    site.board.tpm = join(place.path, 'tpm-pin');
    await site.boot({ unlock: 'tpm2', pin: true }, 'pin', await withTpm());
    expect((await site.becomes('waiting', 'data')).message).toMatch(/has no PIN yet/);
    await site.device.ssh.run(['amslpr-device', 'set-passphrase'], { input: `${PIN}\n${PIN}\n`, timeout: 600 });
    await site.ready();
  });

  it('opens by the PIN and no other, without another restart', async () => {
    await site.restart();
    await site.closed(/closed until somebody gives its PIN/, /amslpr-device unlock/);
    expect(await site.unlock('736252')).toMatchObject({
      code: 1,
      said: expect.stringMatching(/That PIN did not open/),
    });
    expect(await site.unlock(PIN)).toMatchObject({ code: 0 });
    await site.ready();
  });

  it('stays closed on another board', async () => {
    site.board.tpm = join(place.path, 'tpm-other');
    await site.restart();
    await site.becomes('waiting', 'data-open');
    expect(await site.unlock(PIN)).toMatchObject({ code: 1 });
    await site.closed(/it is the one of another board/, /recovery key/);
  });

  it('is opened by the recovery key, and enrolled with another PIN', async () => {
    await site.openByRecovery();
    await site.enrol('918273\n918273\n');
    await site.restart();
    await site.becomes('waiting', 'data-open');
    expect(await site.unlock('918273')).toMatchObject({ code: 0 });
    await site.ready();
  });
});

describe('the method tang', () => {
  const site = new Site();
  let server: TangServer;
  afterAll(async () => {
    await site.stop();
    await server?.[Symbol.asyncDispose]();
  });

  it('waits for its server at first, and goes on by itself', async () => {
    server = await tangServer();
    await server.stop();
    const tang = { url: `http://10.0.2.2:${server.port}`, thumbprint: server.thumbprint };
    await site.boot({ unlock: 'tang', tang }, 'tang');
    expect((await site.becomes('waiting', 'data')).message).toMatch(/cannot be reached/);
    await server.start();
    await site.ready();
    expect(failures(await site.device.audit())).toEqual([]);
  });

  it('opens without a restart when the server comes late', async () => {
    await server.stop();
    await site.restart();
    const starts = site.card.guest.starts();
    await site.closed(/The tang server at .* cannot be reached/, /tried again every 30 seconds/);
    await server.start();
    await site.ready();
    expect(site.card.guest.starts()).toBe(starts);
  });

  it('stays closed when another server answers', async () => {
    await server.start(true);
    await site.restart();
    await site.closed(/has no key with the thumbprint of the site file/, /recovery key/);
  });

  it('is opened by the recovery key, and enrolled again', async () => {
    await site.openByRecovery();
    await server.start();
    await site.enrol();
    await site.restart();
    await site.ready();
  });

  it('has its key nowhere on the card but as what the server alone opens', async () => {
    const script = 'clevis decrypt < /var/lib/amslpr-device/keys/tang.jwe | base64 -w0';
    const told = await site.device.sudo(['sh', '-c', script], { timeout: 120 });
    expect(await site.keyIsOnCard(Buffer.from(told, 'base64').toString('latin1'))).toBe(false);
  });
});

describe('the method card', () => {
  cardMethod(new Site());
});

describe('the method passphrase', () => {
  const site = new Site();
  const [FORMER, LATTER] = ['correct horse battery staple', 'somebody else thought of this one'];
  afterAll(() => site.stop());

  it('is opened by the recovery key when nobody knows the passphrase', async () => {
    await site.boot({ unlock: 'passphrase' }, 'word');
    await site.becomes('waiting', 'data');
    await site.device.ssh.run(['amslpr-device', 'set-passphrase'], { input: `${FORMER}\n${FORMER}\n`, timeout: 600 });
    await site.ready();
    await site.restart();
    await site.closed(/closed until somebody gives its passphrase/, /amslpr-device unlock/);
    expect(await site.unlock('nobody remembers it')).toMatchObject({ code: 1 });
    await site.openByRecovery();
  });

  it('takes another passphrase by one command, and the former one no more', async () => {
    await site.enrol(`${LATTER}\n${LATTER}\n`);
    await site.restart();
    await site.becomes('waiting', 'data-open');
    expect(await site.unlock(FORMER)).toMatchObject({ code: 1, said: expect.stringMatching(/did not open/) });
    expect(await site.unlock(LATTER)).toMatchObject({ code: 0 });
    await site.ready();
  });
});
