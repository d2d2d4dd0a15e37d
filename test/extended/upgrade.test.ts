import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { readImage } from '../../src/audit/image.ts';
import type { Plan } from '../../src/core/plan.ts';
import { parseLock } from '../../src/engine/lock.ts';
import { readConfigTxt } from '../../src/qemu/boot-files.ts';
import { checkDevice } from '../../src/qemu/check.ts';
import type { Device } from '../../src/qemu/device.ts';
import { type Drive, drive, failures, PATIENCE, restart } from '../boot/drive.ts';
import { type ArchiveServer, endArchiveKey, serveArchives, sourceFor } from '../helpers/archive.ts';
import { makeUpgrade, type Upgrade } from '../helpers/archive-upgrade.ts';
import { builtImage } from '../image/built-image.ts';
import { scratch } from '../image/small-image.ts';

// The default image takes newer versions of everything that a stage touches, and a newer kernel, by itself. The steps
// build on each other, in one guest: an emulated one takes minutes for each initramfs.

const lockFile = fileURLToPath(new URL('../../config/amslpr.lock.yaml', import.meta.url));
const SOURCE = '/etc/apt/sources.list.d/upgrade-test.sources';
const OWN_FILES = ['/etc/apt/apt.conf.d/99upgrade-test', '/etc/needrestart/conf.d/99-upgrade-test.conf'] as const;
const UNIT = 'upgrade-test.service';
/** Seconds. */
const UPGRADE_PATIENCE = 5000;

describe('an upgrade of the booted image from a local archive', () => {
  let place: Awaited<ReturnType<typeof scratch>>;
  let plan: Plan;
  let upgrade: Upgrade;
  let server: ArchiveServer;
  let card: Drive;
  let device: Device;
  let before: { cmdline: string; config: string; running: string };

  beforeAll(async () => {
    const built = await builtImage();
    const { image } = built;
    plan = built.plan;
    place = await scratch();
    const lock = parseLock(await readFile(lockFile, 'utf8'), lockFile);
    upgrade = await makeUpgrade(place.path, plan, await readImage(image), lock);
    server = await serveArchives(place.path);
    card = await drive(image, 'card', 'upgrade');
    device = await card.login();
    await device.waitFor('ready', PATIENCE.ready);
    // A daily run of its own would hold apt's lock; they start again with the device.
    await shell('systemctl stop apt-daily.timer apt-daily-upgrade.timer apt-daily.service apt-daily-upgrade.service');
    // In one step for all packages, not one for each: an emulated device takes a minute for each.
    const once = 'Unattended-Upgrade::MinimalSteps "false";';
    await shell(`echo '${once}' > ${OWN_FILES[0]}`);
    // needrestart leaves apt's own unit alone, and would end the one that the upgrade runs in here.
    const alone = `$nrconf{override_rc}{qr(^${UNIT})} = 0;`;
    await shell(`echo '${alone}' > ${OWN_FILES[1]}`);
    before = await bootState();
  });

  afterAll(async () => {
    await device?.ssh.close();
    await card?.stop();
    await server?.[Symbol.asyncDispose]();
    if (place !== undefined) await endArchiveKey(join(place.path, 'gpg'));
    await place?.[Symbol.asyncDispose]();
  });

  const shell = (script: string, options: { okCodes?: readonly number[]; timeout?: number } = {}): Promise<string> =>
    device.sudo(['sh', '-c', script], options);

  async function bootState() {
    const text = async (path: string) => (await card.guest.bootFile(path))?.toString() ?? '';
    const config = await text('/config.txt');
    const cmdline = await text(`/${readConfigTxt(config).prefix}cmdline.txt`);
    // The folder is another one each time, and what fills the sector up says nothing.
    return {
      cmdline,
      config: config.replace(/^os_prefix=.*\n/m, '').trimEnd(),
      running: await shell('cat /proc/cmdline'),
    };
  }

  /** Makes one of the archives the guest's, fetches nothing but its index, and says how that ended. */
  async function update(name: string): Promise<{ ok: boolean; said: string; policy: string }> {
    // What the guest calls 10.0.2.2 is this host's loopback interface.
    const source = sourceFor(`http://10.0.2.2:${server.port}/${name}`, upgrade.key.publicKey);
    await shell(
      `printf %s ${Buffer.from(source).toString('base64')} | base64 -d > ${SOURCE}; rm -rf /var/lib/apt/lists/*`,
    );
    const only = `-o Dir::Etc::sourcelist=${SOURCE} -o Dir::Etc::sourceparts=-`;
    const said = await shell(`apt-get update --error-on=any ${only} 2>&1; echo "exit $?"`, { timeout: 600 });
    return { ok: /^exit 0$/m.test(said), said, policy: await shell('apt-cache policy linux-image-arm64 systemd') };
  }

  it.each(['unsigned', 'expired'])('refuses the archive when it is %s', async (name) => {
    const { ok, said, policy } = await update(name);
    expect(ok, said).toBe(false);
    expect(said).toMatch(name === 'unsigned' ? /is not signed/ : /expired|no longer valid|not valid/i);
    expect(policy).not.toContain('10.0.2.2');
  });

  it('takes the signed one', async () => {
    const { ok, said, policy } = await update('good');
    expect(ok, said).toBe(true);
    expect(policy).toContain(`Candidate: ${upgrade.versions.get('linux-image-arm64')}`);
  });

  it('upgrades unattended', async () => {
    // As a unit of its own: the upgrade restarts what our connection comes through.
    await shell(`systemd-run --quiet --remain-after-exit --unit=${UNIT} unattended-upgrade -v`);
    const deadline = Date.now() + UPGRADE_PATIENCE * 1000;
    let state = '';
    while (!/SubState=(exited|failed)/.test(state) && Date.now() < deadline) {
      await sleep(10_000);
      state = await shell(`systemctl show -p SubState,ExecMainStatus ${UNIT}`).catch(async () => {
        // The connection may have ended with what was upgraded; the unit goes on, and tells when we are back.
        await device.ssh.close();
        device = await card.login();
        return '';
      });
    }
    const log = await shell('cat /var/log/unattended-upgrades/*.log');
    expect(state, log).toMatch(/SubState=exited/);
    expect(state, log).toMatch(/ExecMainStatus=0/);
    expect(log).not.toMatch(/conffile prompt|kept back|ERROR/);
  });

  it('has every newer version, and nothing is held back or half done', async () => {
    const list = (await shell('dpkg-query --show')).split('\n').map((line) => line.replace(/:\w+\t/, '\t'));
    const missing = [...upgrade.versions].filter(([name, version]) => !list.includes(`${name}\t${version}`));
    expect(missing).toEqual([]);
    expect((await shell('apt list --upgradable 2>/dev/null')).trim()).toBe('Listing...');
    expect(await shell('dpkg --audit')).toBe('');
    expect(await shell("find /etc -name '*.dpkg-*' -o -name '*.ucf-*'")).toBe('');
  });

  it('has every changed configuration file', async () => {
    expect(upgrade.conffiles.size).toBeGreaterThan(100);
    // A diverted file is the stage's; dpkg keeps its package's beside it.
    const moved = (path: string) => ((plan.diversions as readonly string[]).includes(path) ? `${path}.distrib` : path);
    const sums = [...upgrade.conffiles].map(([path, md5]) => `${md5}  ${moved(path)}\n`).join('');
    const text = Buffer.from(sums).toString('base64');
    expect(await shell(`printf %s ${text} | base64 -d | md5sum --quiet -c 2>&1`, { okCodes: [0, 1] })).toBe('');
  });

  it('passes every check before it starts again', async () => {
    // What this test put there is a hand edit.
    await shell(`rm ${SOURCE} ${OWN_FILES.join(' ')}`);
    const failed = failures(await checkDevice(card.guest, device, card.site.user));
    expect(failed, await shell('amslpr-device integrity show')).toEqual([]);
  });

  it('starts the newer kernel with the same command line', async () => {
    device = await restart(card, device);
    await device.waitFor('ready', PATIENCE.ready);
    const after = await bootState();
    expect((await shell('uname -r')).trim()).toBe(upgrade.newRelease);
    expect(after.cmdline).toBe(before.cmdline);
    expect(after.running).toBe(before.running);
    expect(before.config).toContain(upgrade.oldRelease);
    expect(after.config).toBe(before.config.replaceAll(upgrade.oldRelease, upgrade.newRelease));
  });

  it('passes every check with it', async () => {
    const failed = failures(await checkDevice(card.guest, device, card.site.user));
    expect(failed, await shell('amslpr-device integrity show')).toEqual([]);
    expect(await shell('systemctl --failed --plain --no-legend')).toBe('');
  });

  it('keeps the older kernel, of which it has the boot files', async () => {
    const unused = await shell('apt-get --simulate autoremove', { timeout: 600 });
    expect(unused).not.toContain(upgrade.oldRelease);
    expect(await shell(`dpkg-query --show --showformat='\${Status}' linux-image-${upgrade.oldRelease}`)).toBe(
      'install ok installed',
    );
  });

  it('starts the older kernel again when somebody does what the run-book says', async () => {
    // As in a card reader: the copy, and nothing else.
    const boot = '/boot/firmware';
    const folder = `${boot}/$(sed -n 's/^os_prefix=//p' ${boot}/config.txt)`;
    const writable = '/usr/lib/amslpr/boot-writable';
    await shell(`${writable} open && cp "${folder}previous.txt" ${boot}/config.txt && ${writable} close`);
    device = await restart(card, device);
    await device.waitFor('ready', PATIENCE.ready);
    expect((await shell('uname -r')).trim()).toBe(upgrade.oldRelease);
    expect(await bootState()).toEqual(before);
    // What was not in its initramfs is loaded from root.
    expect(await shell('modprobe --show-depends dm-crypt')).toContain(`/${upgrade.oldRelease}/`);
    expect(await shell('systemctl --failed --plain --no-legend')).toBe('');
  });
});
