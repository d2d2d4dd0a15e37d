import { randomBytes } from 'node:crypto';
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { hostRunner } from '../../src/host/runner.ts';
import { openBundle, storedBundle } from '../../src/qemu/bundle.ts';
import { checkDevice } from '../../src/qemu/check.ts';
import type { Device } from '../../src/qemu/device.ts';
import { enroll } from '../../src/site/enroll.ts';
import { recover } from '../../src/site/recover.ts';
import { writeAccess } from '../../src/site/ssh-config.ts';
import { withAgent } from '../helpers/agent.ts';
import { builtImage } from '../image/built-image.ts';
import { batches, silentAfter } from './breakages/index.ts';
import { type Canaries, collectCanaries, found } from './canaries.ts';
import { type Drive, drive, failures, identities, onDisk, PATIENCE, restart } from './drive.ts';
import { evidence, isolation, leaksOfBundle } from './incident.ts';

// The default image under QEMU's virt machine. Each guest takes minutes to start, so that one serves many tests, in
// their order: the first with the method `card`, the second with `passphrase`.

/** Slot of root's partition. */
const ROOT = 2;

/**
 * What the raw search finds: what lies outside root's partition or nowhere, the files of root that hold a secret, and
 * closed secrets that were found at all.
 */
async function search(card: string, { open, closed }: Canaries) {
  // One search each, so that a closed secret within an open one counts.
  const places = await found(card, open, ROOT);
  const astray = places.filter(({ slots, name, files }) => String(slots) !== String([ROOT]) || !files.includes(name));
  const leaked = (await found(card, closed, ROOT)).filter(({ slots }) => slots.length > 0);
  return { astray, leaked, files: [...new Set(places.flatMap(({ files }) => files))].sort() };
}

/** A second administrator, whose password for sudo comes with the site file. */
const withHash = (text: string): string =>
  text.replace(
    /^ {2}- name: driver\n((?: {4}.*\n)+)/m,
    // A function, since the dollars of the hash mean something in a text.
    (driver, keys) => `${driver}  - name: second\n    sudo-password-hash: ${HASH}\n${keys}`,
  );
const HASH = `$6$rounds=5000$${randomBytes(8).toString('hex')}$${randomBytes(43).toString('hex')}`;

/** QEMU's own network is the administrators'; the cameras' has nobody in it. */
const NETWORK = `network:
  management:
    - 10.0.2.0/24
  cameras:
    vlan: 20
    address: 192.168.20.1/24
`;
const withNetwork = (text: string): string => text.replace(/^\.\.\.$/m, `${NETWORK}...`);

describe('the default image with the method card', () => {
  let image: string;
  let listed: readonly string[];
  let card: Drive;
  let device: Device;
  let first: Record<string, string>;

  beforeAll(async () => {
    const built = await builtImage();
    image = built.image;
    listed = built.plan.plainSecrets.map(({ path }) => path);
    const wifi = { country: 'GB', ssid: 'Gatehouse', psk: 'wifi canary 7391 tulip' };
    // A serial adapter, which no rule admits.
    const board = { usb: { devices: ['serial'] } } as const;
    card = await drive(image, { unlock: 'card', wifi, edit: withHash }, 'north', { board });
    device = await card.login();
    await device.waitFor('ready', PATIENCE.ready);
  });

  afterAll(async () => {
    await device?.ssh.close();
    await card?.stop();
  });

  it('runs under virt, since it has the drivers', () => {
    expect(card.guest.machine.name).toBe('virt');
  });

  it('passes every check, from inside and outside', async () => {
    const results = await checkDevice(card.guest, device, card.site.user);
    expect(failures(results)).toEqual([]);
    expect(results.length).toBeGreaterThan(50);
  });

  it('encrypts the recovery bundle to the admin, who opens it', async () => {
    const { sudoPasswords, luksRecoveryKey, proofCode } = await openBundle(card.guest, card.site.identity);
    expect(Object.keys(sudoPasswords)).toEqual(['driver']);
    expect(luksRecoveryKey.length).toBeGreaterThan(40);
    expect(proofCode).toMatch(/^[0-9a-f]{8}$/);
    // What runs programs here takes the last line end off.
    const text = (await device.ssh.run(['amslpr-device', 'bundle'])).stdout;
    expect(text).toBe((await storedBundle(card.guest))?.toString().trimEnd());
  });

  it('lets that admin in before that, by what personalize writes', async () => {
    const { guest, site } = card;
    const key = (await readFile(`${site.identity}.pub`, 'utf8')).trim();
    const admins = [{ name: site.user, keys: [key] }];
    const shown = { name: 'north', hostname: 'north', admins, unlock: { method: 'card' } };
    await withAgent(join(guest.folder, 'first-agent'), 5, async (env) => {
      await hostRunner.run(['ssh-add', '-q', site.identity], { env });
      const config = await writeAccess(join(guest.folder, 'card.img'), shown, guest.folder);
      const ssh = ['ssh', '-F', config, '-p', String(guest.ports.ssh), '-o', 'BatchMode=yes'];
      const first = ['-o', 'StrictHostKeyChecking=accept-new', `${site.user}@127.0.0.1`, '--', 'amslpr-device status'];
      const { stdout } = await hostRunner.run([...ssh, ...first], { env, timeout: 120 });
      expect(stdout).toContain('ready');
    });
  });

  it('is enrolled by an admin whose agent holds five other keys, from token to sudo', async () => {
    const { guest, site } = card;
    const { folder } = guest;
    const [enrolment, stolen] = [join(folder, 'north.enrol.json'), join(folder, 'other.enrol.json')];
    await writeFile(enrolment, JSON.stringify({ name: 'north', token: guest.token }));
    await writeFile(stolen, JSON.stringify({ name: 'other', token: 'B'.repeat(43) }));
    const options = { port: guest.ports.ssh, identity: site.identity, output: join(folder, 'devices') };
    const address = `${site.user}@127.0.0.1`;
    await withAgent(join(folder, 'agent'), 5, async (env) => {
      const refused = enroll(address, { ...options, enrolment: stolen });
      await expect(refused).rejects.toThrow(/its report does not carry the token/);
      const done = await enroll(address, { ...options, enrolment });
      // A new connection by what was written: one key is offered, and the host key is the pinned one.
      const ssh = [
        'ssh',
        '-F',
        join(done.folder, 'ssh_config'),
        '-o',
        'BatchMode=yes',
        'north',
        '--',
        'sudo -S -k id -u',
      ];
      const { stdout } = await hostRunner.run(ssh, { input: `${done.sudoPassword}\n`, env, timeout: 120 });
      expect(stdout).toBe('0');
    });
    expect(JSON.parse((await device.ssh.run(['amslpr-device', 'status', '--json'])).stdout)).toMatchObject({
      recovery: 'proven',
    });
    // The token has done its work.
    expect(await readFile(enrolment, 'utf8')).not.toContain(guest.token);
    await expect(enroll(address, { ...options, enrolment })).rejects.toThrow(/was used already/);
  });

  it('puts data on LUKS2 that the device made', async () => {
    const dump = await device.sudo(['sh', '-c', 'cryptsetup luksDump /dev/disk/by-partuuid/*-04']);
    expect(dump).toMatch(/^Version:\s+2$/m);
    // Two ways in: the card's own key and the recovery key.
    expect(dump.match(/^ {2}\d+: luks2$/gm)).toHaveLength(2);
    expect(await device.sudo(['findmnt', '-no', 'SOURCE,FSTYPE', '/data'])).toMatch(
      /^\/dev\/mapper\/amslpr-data\s+ext4/,
    );
    expect(await device.sudo(['cryptsetup', 'status', 'amslpr-data'])).toMatch(/type:\s+LUKS2/);
  });

  it('changes nothing on the card when both phases run again', async () => {
    const before = await onDisk(device);
    expect(before).toContain('/var/lib/amslpr-device/ready f 644 0:0');
    const units = ['amslpr-first-boot.service', 'amslpr-provision.service'];
    await device.sudo(['systemctl', 'restart', ...units], { timeout: 600 });
    await device.waitFor('ready', PATIENCE.ready);
    expect((await onDisk(device)).split('\n')).toEqual(before.split('\n'));
  });

  it('makes a backup and lists it to somebody without sudo', async () => {
    await device.sudo(['amslpr-device', 'backup', 'create'], { timeout: 600 });
    const { stdout } = await device.ssh.run(['amslpr-device', 'backup', 'list']);
    expect(stdout).toMatch(/amslpr-\d{8}/);
    await device.sudo(['amslpr-device', 'backup', 'verify'], { timeout: 300 });
  });

  it('finds nothing wrong in its monthly self-audit, in the sandbox of its unit', async () => {
    await device.sudo(['systemctl', 'start', 'amslpr-audit.service'], { timeout: 1200 });
    expect(await device.sudo(['amslpr-device', 'integrity', 'show'])).toMatch(/^0 differ, 0 checks failed$/m);
  });

  it('finds a hand edit at the next look, tells of it, and finds it gone', async () => {
    const compare = () => device.sudo(['systemctl', 'start', 'amslpr-integrity.service'], { timeout: 600 });
    const look = async () => {
      await device.sudo(['systemctl', 'start', 'amslpr-monitor.service'], { timeout: 300 });
      return (await device.ssh.run(['amslpr-device', 'status'])).stdout;
    };
    await device.sudo(['sh', '-c', 'echo id > /etc/profile.d/x.sh; chmod u+s /usr/bin/find']);
    await compare();
    // A tool of others finds the same, by a record of its own; 1: something is new, 4: something changed.
    const aide = ['aide', '--config', '/etc/aide/aide.conf', '--check', '--limit'];
    expect(await device.sudo([...aide, '/etc/profile.d'], { okCodes: [1, 5], timeout: 600 })).toContain(
      '/etc/profile.d/x.sh',
    );
    expect(await device.sudo([...aide, '/usr/bin/find$'], { okCodes: [4], timeout: 600 })).toContain('/usr/bin/find');
    const told = await look();
    expect(told).toMatch(
      /^Alert: 2 paths differ from the image: \/etc\/profile\.d\/x\.sh is new, \/usr\/bin\/find has mode/m,
    );
    await device.sudo(['sh', '-c', 'rm /etc/profile.d/x.sh; chmod u-s /usr/bin/find']);
    await compare();
    // It is over after three looks without it.
    for (let count = 0; count < 3; count++) await look();
    expect(await look()).not.toContain('differ from the image');
  });

  it('tells of a unit that failed, without sudo and without a relay', async () => {
    await device.sudo([
      'systemd-run',
      '--unit=boom',
      '--property=OnFailure=amslpr-alert@boom.service.service',
      '/bin/false',
    ]);
    await expect
      .poll(async () => (await device.ssh.run(['amslpr-device', 'status'])).stdout, {
        timeout: 120_000,
        interval: 5000,
      })
      .toContain('Alert: boom.service failed');
    await device.sudo(['systemctl', 'reset-failed', 'boom.service']);
  });

  it('has identities', async () => {
    first = await identities(card, device);
    expect(Object.values(first).every((value) => value.length >= 16)).toBe(true);
  });

  it.each(Object.entries(batches))('says so of each thing that is broken: %s', async (_, batch) => {
    expect(await silentAfter(device, batch)).toEqual([]);
  });

  it('keeps its identities over a restart, opens its data again, and is whole again', async () => {
    device = await restart(card, device);
    await device.waitFor('ready', PATIENCE.ready);
    const { 'random seed': _before, ...kept } = first;
    const { 'random seed': _after, ...now } = await identities(card, device);
    expect(now).toEqual(kept);
    expect(failures(await device.audit())).toEqual([]);
  });

  it('is isolated from all but SSH of its caller, and connected again', async () => {
    const { said, ...seen } = await isolation(card, device);
    expect(said).toMatch(/^isolated until .* kept: 10\.0\.2\.2$/m);
    expect(seen).toEqual({ before: 200, meanwhile: expect.any(String), ended: 'not isolated', after: 200 });
  });

  it('gives evidence that its admin can open, and a support bundle without any of its secrets', async () => {
    const names = await evidence(card, device);
    expect(names[0]).toBe('CUSTODY.txt');
    expect(names).toEqual(
      expect.arrayContaining(['02-processes/ps', '03-network/sockets', '07-kernel/log', '14-files/sha256']),
    );
    expect(names.some((name) => name.startsWith('09-journal/journal.export'))).toBe(true);
    const { open, closed } = await collectCanaries(card, device, listed);
    expect(await leaksOfBundle(device, [...open, ...closed])).toEqual([]);
  });

  it('has no secrets in the open but those of docs/secrets.md', async () => {
    // A change of an account leaves the copy of /etc/shadow. What lies on the card is looked at without its journal.
    await device.sudo(['sh', '-c', 'chage --maxdays -1 driver && sync && sync']);
    const canaries = await collectCanaries(card, device, listed);
    // This site has every one of them: each is found, so the search does find what is there. One is made only when it is
    // needed, which may never be.
    const names = new Set(canaries.open.map(({ name }) => name));
    const later = '/var/lib/NetworkManager/secret_key';
    const expected = listed.filter((path) => path !== later || names.has(path)).sort();
    expect([...names].sort()).toEqual(expected);
    const { sudoPasswords } = await openBundle(card.guest, card.site.identity);
    await device.ssh.close();
    const pulled = await card.guest.pullCard();
    const recovered = JSON.parse(await recover(pulled, { key: card.site.identity }));
    expect(recovered).toMatchObject({ hostname: 'north', sudo_passwords: sudoPasswords });
    expect(await search(pulled, canaries)).toEqual({ astray: [], leaked: [], files: expected });
  });

  describe('and a second device of it, with the method passphrase', () => {
    const passphrase = 'correct horse battery staple';
    let other: Drive;
    let second: Device;

    beforeAll(async () => {
      // One guest at a time: two cores carry no two.
      await device.ssh.close();
      await card.stop();
      other = await drive(image, { unlock: 'passphrase', edit: withNetwork }, 'south');
      second = await other.login();
    });

    afterAll(async () => {
      await second?.ssh.close();
      await other?.stop();
    });

    it('waits for its passphrase with SSH up and data closed', async () => {
      expect(await second.waitFor('waiting', PATIENCE.ready)).toMatchObject({ state: 'waiting', step: 'data' });
      const { code } = await second.ssh.run(['findmnt', '/data'], { okCodes: [0, 1] });
      expect(code).toBe(1);
    });

    it('takes the passphrase over SSH and becomes ready', async () => {
      await second.ssh.run(['amslpr-device', 'set-passphrase'], { input: `${passphrase}\n${passphrase}\n` });
      await second.waitFor('ready', PATIENCE.ready);
      expect(failures(await second.audit())).toEqual([]);
    });

    it('lets the management networks and neighbours reach SSH, and cameras nothing', async () => {
      const status = await second.sudo(['ufw', 'status', 'verbose']);
      expect(status).toMatch(/^22\/tcp +LIMIT IN +10\.0\.2\.0\/24/m);
      expect(status).toMatch(/^22\/tcp on e\+ +LIMIT IN +fe80::\/10/m);
      expect(status).not.toMatch(/^22\/tcp( \(v6\))? +LIMIT IN +Anywhere/m);
      expect(status).toMatch(/^Anywhere on cameras +DENY IN +Anywhere/m);
      const link = await second.sudo(['ip', '-json', '-details', 'address', 'show', 'cameras']);
      expect(link).toMatch(/"info_kind":"vlan".*"id":20\b/);
      expect(link).toMatch(/"local":"192\.168\.20\.1"/);
      expect(await second.sudo(['ip', 'route', 'show', 'default', 'dev', 'cameras'])).toBe('');
      expect(await second.sudo(['fail2ban-client', 'status'])).toMatch(/amslpr-login-management.*sshd-management/);
      expect((await second.sudo(['fail2ban-client', 'get', 'sshd-management', 'bantime'])).trim()).toBe('600');
    });

    it('shares nothing with the first but what comes from the image', async () => {
      const now = await identities(other, second);
      expect(Object.keys(now).sort()).toEqual(Object.keys(first).sort());
      for (const [name, value] of Object.entries(now)) expect(value, name).not.toBe(first[name]);
    });

    it('stays closed after a restart until it is unlocked, without another restart', async () => {
      const before = await identities(other, second);
      second = await restart(other, second);
      await second.waitFor('waiting', PATIENCE.ready);
      await second.ssh.run(['amslpr-device', 'unlock'], { input: 'not the passphrase\n', okCodes: [1] });
      await second.ssh.run(['amslpr-device', 'unlock'], { input: `${passphrase}\n` });
      await second.waitFor('ready', PATIENCE.ready);
      expect((await identities(other, second))['container']).toBe(before['container']);
    });

    it('leaves none of its secrets in the open on the card', async () => {
      const canaries = await collectCanaries(other, second, listed);
      const names = [...new Set(canaries.open.map(({ name }) => name))].sort();
      expect(names).not.toContain('/var/lib/amslpr-device/keys/data.key');
      await second.sudo(['sh', '-c', 'sync && sync']);
      await second.ssh.close();
      const raw = await other.guest.pullCard();
      const closed = [...canaries.closed, { name: 'passphrase', secret: passphrase }];
      expect(await search(raw, { ...canaries, closed })).toEqual({ astray: [], leaked: [], files: names });
    });
  });
});
