import { open, rm, truncate, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { readImage } from '../../src/audit/image.ts';
import { type Partition, SECTOR } from '../../src/audit/mbr.ts';
import { auditImage } from '../../src/audit/report.ts';
import type { Tree } from '../../src/audit/tree.ts';
import { silent } from '../../src/core/log.ts';
import { hostRunner } from '../../src/host/runner.ts';
import { builtImage } from './built-image.ts';
import { copySparse, debugfs, scratch } from './small-image.ts';

/** A copy of the built image, and what can be done to it. */
interface Card {
  readonly path: string;
  readonly tree: Tree;
  root(...commands: string[]): Promise<void>;
  /** Writes a file of the root file system anew, with the mode and owner that are given. */
  write(path: string, content: string | Uint8Array, mode?: number): Promise<void>;
  boot(name: string, content: string): Promise<void>;
}

interface Case {
  readonly what: string;
  readonly break: (card: Card) => Promise<unknown>;
  /** All checks that have to fail; none else may. */
  readonly fails: readonly string[];
}

const text = (card: Card, path: string): string => card.tree.text(path) ?? '';
const WANTS = '/etc/systemd/system/multi-user.target.wants';

const cases: readonly Case[] = [
  {
    what: 'a host key',
    break: (card) => card.write('/etc/ssh/ssh_host_ed25519_key', '-----BEGIN OPENSSH PRIVATE KEY-----\n', 0o600),
    fails: ['sshd/no-host-key', 'base-system/leftovers'],
  },
  {
    what: 'an SSH policy that others read',
    break: (card) => card.root('sif /etc/ssh/sshd_config mode 0100644'),
    fails: ['sshd/policy'],
  },
  {
    what: 'one more SUID program',
    break: (card) => card.root('sif /usr/bin/less mode 0104755'),
    fails: ['accounts/setuid'],
  },
  {
    what: 'a machine id',
    break: (card) => card.write('/etc/machine-id', '0123456789abcdef0123456789abcdef\n', 0o444),
    fails: ['base-system/machine-id', 'base-system/leftovers'],
  },
  {
    what: 'a firewall that is off',
    break: (card) => card.write('/etc/ufw/ufw.conf', text(card, '/etc/ufw/ufw.conf').replace('=yes', '=no')),
    fails: ['firewall/enabled'],
  },
  {
    what: 'a service that is not started',
    break: (card) => card.root(`rm ${WANTS}/fail2ban.service`),
    fails: ['fail2ban/starts'],
  },
  {
    what: 'a service that nobody expects',
    break: (card) => card.root(`symlink ${WANTS}/intruder.service /usr/lib/systemd/system/ssh.service`),
    fails: ['services/expected'],
  },
  {
    what: 'a command line that resizes',
    break: (card) => card.boot('cmdline.txt', `${text(card, '/boot/firmware/cmdline.txt').trim()} resize\n`),
    fails: ['boot-files/cmdline'],
  },
  {
    what: 'a third partition',
    break: async (card) => {
      const { size } = card.tree.disk ?? { size: 0 };
      await truncate(card.path, size + 16 * 1024 * 1024);
      await hostRunner.run(['sfdisk', '-q', '--append', card.path], { input: `start=${size / SECTOR}, type=83\n` });
    },
    fails: ['boot-files/partitions'],
  },
  {
    what: 'a password of root',
    break: (card) => {
      const shadow = text(card, '/etc/shadow').replace(/^root:[^:]*:/m, 'root:$y$j9T$abcdefgh$ijklmnop:');
      return card.write('/etc/shadow', shadow, 0o640);
    },
    fails: ['base-system/passwords'],
  },
  {
    what: 'a second root',
    break: async (card) => {
      await card.write('/etc/passwd', `${text(card, '/etc/passwd')}toor:x:0:0::/root:/bin/sh\n`);
      await card.write('/etc/shadow', `${text(card, '/etc/shadow')}toor:*:20000::::::\n`, 0o640);
    },
    fails: ['base-system/accounts'],
  },
  {
    what: 'a program of another CPU',
    break: (card) => {
      const elf = new Uint8Array(64);
      elf.set([0x7f, 0x45, 0x4c, 0x46, 2, 1, 1]);
      elf[18] = 62;
      return card.write('/usr/local/bin/tool', elf, 0o755);
    },
    fails: ['base-system/cpu'],
  },
  {
    what: 'a packaged program that was changed',
    break: (card) => card.write('/usr/bin/less', 'changed', 0o755),
    fails: ['base-system/packaged'],
  },
  {
    what: 'a file that everybody can write',
    break: (card) => card.root('sif /etc/hosts mode 0100666'),
    fails: ['base-system/writable'],
  },
  {
    what: 'a file of nobody we know',
    break: (card) => card.root('sif /etc/hosts uid 4711'),
    fails: ['base-system/owners'],
  },
  {
    what: 'a conffile that was changed',
    break: (card) => card.write('/etc/nginx/mime.types', '# ours\n'),
    fails: ['boot-files/conffiles'],
  },
  {
    what: "one of AMSLPR's published files",
    break: (card) => card.write('/srv/users.json', '{}'),
    fails: ['base-system/leaks'],
  },
  {
    what: 'a compiler',
    break: (card) => card.write('/usr/bin/gcc', '#!/bin/sh\n', 0o755),
    fails: ['base-system/no-compiler'],
  },
  {
    what: 'a notice that names the system',
    break: (card) => card.write('/etc/issue', 'Debian GNU/Linux 13 \\n \\l\n'),
    fails: ['accounts/notice'],
  },
  {
    what: 'shells that stay open',
    break: (card) => card.write('/etc/profile.d/amslpr.sh', 'umask 027\n'),
    fails: ['accounts/idle'],
  },
  {
    what: 'a folder of cron that others read',
    break: (card) => card.root('sif /etc/cron.d mode 040755'),
    fails: ['accounts/cron-folders'],
  },
  {
    what: 'packets that are forwarded',
    break: (card) => {
      const settings = text(card, '/etc/sysctl.d/60-amslpr.conf');
      return card.write('/etc/sysctl.d/60-amslpr.conf', settings.replace('all.forwarding = 0', 'all.forwarding = 1'));
    },
    fails: ['kernel/settings'],
  },
  {
    what: 'core dumps that are kept',
    break: (card) => card.write('/etc/systemd/coredump.conf.d/60-amslpr.conf', '[Coredump]\nStorage=external\n'),
    fails: ['kernel/no-core-storage'],
  },
  {
    what: 'the wrong root partition in fstab',
    break: (card) =>
      card.write('/etc/fstab', text(card, '/etc/fstab').replace(/PARTUUID=[0-9a-f]{8}-02/, 'PARTUUID=deadbeef-02')),
    fails: ['boot-files/fstab'],
  },
];

let folder: Awaited<ReturnType<typeof scratch>>;
let built: Awaited<ReturnType<typeof builtImage>>;
let tree: Tree;

beforeAll(async () => {
  folder = await scratch();
  built = await builtImage();
  tree = await readImage(built.image);
});
afterAll(() => folder[Symbol.asyncDispose]());

it('the image has the list of sources that unattended-upgrades would make as a file that nobody knows', () => {
  expect(tree.text('/etc/apt/sources.list')).toMatch(/^#.*\n$/);
});

function offset(slot: number): number {
  const partition: Partition | undefined = tree.disk?.partitions.find((one) => one.slot === slot);
  if (partition === undefined) throw new Error(`the image has no partition ${slot}`);
  return partition.start * SECTOR;
}

/** A node's owner, which a file that is written anew has to get again. */
function cardOf(path: string): Card {
  const source = `${path}.content`;
  const root = (...commands: string[]) => debugfs(path, commands, offset(2));
  return {
    path,
    tree,
    root,
    async write(target, content, mode) {
      await writeFile(source, content);
      const before = tree.get(target);
      const bits = (mode ?? before?.mode ?? 0o644).toString(8).padStart(6, '0');
      await root(
        ...(before === undefined ? [] : [`rm ${target}`]),
        `write ${source} ${target}`,
        `sif ${target} mode 01${bits.slice(1)}`,
        `sif ${target} uid ${before?.uid ?? 0}`,
        `sif ${target} gid ${before?.gid ?? 0}`,
      );
    },
    async boot(name, content) {
      await writeFile(source, content);
      await hostRunner.run(['mcopy', '-D', 'o', '-i', `${path}@@${offset(1)}`, source, `::/${name}`]);
    },
  };
}

describe('the image that was built', () => {
  it('passes every offline check', async () => {
    const report = await auditImage(built.image, built.checks, silent);
    expect(report.results.filter(({ outcome }) => outcome === 'fail')).toEqual([]);
    expect(report.passed).toBeGreaterThan(50);
  });

  it('is not changed by an audit', async () => {
    const file = await open(built.image);
    const before = (await file.stat()).mtimeMs;
    await auditImage(built.image, built.checks, silent);
    expect((await file.stat()).mtimeMs).toBe(before);
    await file.close();
  });
});

// As many at a time as `maxConcurrency` says: each waits for programs that read the whole image.
describe('an image with', () => {
  it.concurrent.each(cases.map((one) => [one.what, one] as const))('%s', async (what, { break: spoil, fails }) => {
    const path = join(folder.path, `${what.replaceAll(/\W/g, '-')}.img`);
    await copySparse(built.image, path);
    await spoil(cardOf(path));
    const report = await auditImage(path, built.checks, silent);
    const failed = report.results.filter(({ outcome }) => outcome === 'fail').map(({ id }) => id);
    await rm(path);
    expect(failed.sort()).toEqual([...fails].sort());
  });
});
