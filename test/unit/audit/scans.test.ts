import { describe, expect, it } from 'vitest';
import { scans } from '../../../src/audit/scans/index.ts';
import { ParameterError, type Parameters } from '../../../src/audit/scans/scan.ts';
import { accounts, file, folder, link } from './helpers.ts';
import { capability, cloneModel, elf, type Model, md5, modelOf, put, treeOfModel } from './model.ts';
import { breaks } from './scan-breaks.ts';

const TEST_KEY = '-----BEGIN PRIVATE KEY-----\npublic, since it is packaged\n';

/** An image that every scan is content with. */
function goodImage(): Model {
  const status = [
    'Package: nginx\nStatus: install ok installed\nArchitecture: arm64\nVersion: 1\nConffiles:',
    ` /etc/nginx.conf ${md5('packaged\n')}`,
    ` /etc/diverted.conf ${md5('packaged\n')}`,
    ' /etc/obsolete.conf 00000000000000000000000000000000 obsolete',
    ' /etc/new.conf newconffile',
    'Description: x',
    '',
    'Package: removed\nStatus: deinstall ok config-files\nVersion: 1\nConffiles:',
    ` /etc/removed.conf ${md5('gone\n')}`,
    '',
  ].join('\n');
  return modelOf(
    [
      ...accounts(),
      file('/usr/bin/sudo', elf(183), { mode: 0o4755 }),
      file('/usr/bin/ping', elf(183), { mode: 0o755, xattrs: { 'security.capability': capability(1 << 13) } }),
      file('/usr/lib/firmware/dsp.bin', elf(137)),
      file('/boot/firmware/start4.elf', elf(137)),
      file('/usr/share/keys/archive.key', '-----BEGIN PGP PUBLIC KEY BLOCK-----\n'),
      folder('/tmp', { mode: 0o1777 }),
      link('/etc/resolv.conf', '../run/systemd/resolve/stub-resolv.conf'),
      file('/etc/machine-id', 'uninitialized\n', { mode: 0o444 }),
      file('/etc/nginx.conf', 'packaged\n'),
      file('/etc/diverted.conf', 'ours\n'),
      file('/etc/diverted.conf.distrib', 'packaged\n'),
      file('/var/lib/dpkg/diversions', '/etc/diverted.conf\n/etc/diverted.conf.distrib\n:\n'),
      file('/var/lib/dpkg/status', status),
      file(
        '/var/lib/dpkg/info/nginx.md5sums',
        `${md5('tool\n')}  usr/bin/tool\n${md5('doc\n')}  usr/share/doc/x/README\n`,
      ),
      file('/usr/bin/tool', 'tool\n', { mode: 0o755 }),
      file('/usr/lib/python3/x/test-key.pem', TEST_KEY),
      file('/var/lib/dpkg/info/python3-x.md5sums', `${md5(TEST_KEY)}  usr/lib/python3/x/test-key.pem\n`),
      file('/usr/lib/systemd/system/nginx.service', '[Service]\nExecStart=/usr/sbin/nginx\n'),
      link('/etc/systemd/system/multi-user.target.wants/nginx.service', '/usr/lib/systemd/system/nginx.service'),
      file('/etc/systemd/system/own.service', '[Service]\nExecStart=!/usr/bin/tool -x\nExecStopPost="/usr/bin/tool"\n'),
      file('/boot/firmware/cmdline.txt', 'console=tty1 root=PARTUUID=cafe1234-02 rootfstype=ext4 rootwait\n'),
      file(
        '/etc/fstab',
        '# comment\nPARTUUID=cafe1234-01 /boot/firmware vfat ro 0 2\nPARTUUID=cafe1234-02 / ext4 defaults 0 1\n',
      ),
    ],
    {
      archives: [
        { path: '/boot/firmware/initramfs8', files: [{ path: 'bin/sh', mode: 0o755, size: 64, head: elf(183) }] },
      ],
      disk: {
        size: 2e9,
        signature: 0xcafe1234,
        partitions: [
          { slot: 1, type: 0x0c, bootable: true, start: 16384, sectors: 1048576 },
          { slot: 2, type: 0x83, bootable: false, start: 1064960, sectors: 2800000 },
        ],
      },
    },
  );
}

const parameters: Readonly<Record<string, Parameters>> = {
  suid: { allow: ['/usr/bin/sudo'] },
  capabilities: { allow: { '/usr/bin/ping': 'cap_net_raw+ep' } },
  leftovers: { strings: ['/home/builder'] },
  'enabled-units': { allow: ['nginx.service'] },
  cmdline: { arguments: ['rootfstype=ext4', 'rootwait'], lacks: ['quiet'] },
};

for (const [name, scan] of Object.entries(scans)) {
  describe(name, () => {
    const given = parameters[name] ?? {};

    it('is content with a good image, and says what it looked at', () => {
      const { looked, problems } = scan(treeOfModel(goodImage()), given);
      expect(problems).toEqual([]);
      expect(looked).toMatch(/\d|cmdline/);
    });

    it.each(breaks[name]?.map((one) => [one.what, one] as const) ?? [])('finds: %s', (_, one) => {
      const model = cloneModel(goodImage());
      one.apply(model, given);
      expect(scan(treeOfModel(model), given).problems.join('\n')).toMatch(one.names);
    });

    it('refuses parameters that it does not know', () => {
      expect(() => scan(treeOfModel(goodImage()), { ...given, unknown: 1 })).toThrow(ParameterError);
    });

    it('has cases of failure', () => {
      expect(breaks[name]?.length ?? 0).toBeGreaterThan(0);
    });
  });
}

describe('parameters', () => {
  const run = (name: string, given: Parameters, change: (model: Model) => void = () => undefined): string => {
    const model = goodImage();
    change(model);
    return (scans[name]?.(treeOfModel(model), given).problems ?? ['no such scan']).join('\n');
  };

  it('allow-lists may hold patterns', () => {
    expect(run('suid', { allow: ['/usr/**'] })).toBe('');
    expect(run('suid', {})).toMatch(/sudo/);
    expect(run('foreign-elf', { allow: ['/usr/lib/firmware/*'] })).toMatch(/start4\.elf is for VideoCore/);
    expect(run('leftovers', { allow: ['/etc/ssh/*'] }, (model) => put(model, file('/etc/ssh/ssh_host_rsa_key')))).toBe(
      '',
    );
    expect(run('enabled-units', { allow: ['*.service'] })).toBe('');
  });

  it('must have the right type', () => {
    expect(() => run('suid', { allow: 'x' })).toThrow(/must be a list of texts/);
    expect(() => run('partitions', { maxBytes: '4G' })).toThrow(/must be a number/);
    expect(() => run('capabilities', { allow: [] })).toThrow(/must be a record/);
    expect(() => run('enabled-units', {})).toThrow(/"allow" is missing/);
  });

  it('expected capabilities must be there, exactly', () => {
    const allow = { '/usr/bin/ping': 'cap_net_raw=ep', '/usr/bin/dumpcap': 'cap_net_admin=ep' };
    expect(run('capabilities', { allow })).toMatch(/dumpcap lacks/);
    expect(run('capabilities', { allow: { '/usr/bin/ping': 'cap_net_raw=p' } })).toMatch(/has cap_net_raw=ep, not/);
  });

  it('a packaged key that is another one', () => {
    const other = file('/usr/lib/python3/x/test-key.pem', '-----BEGIN PRIVATE KEY-----\nours\n');
    expect(run('leftovers', {}, (model) => put(model, other))).toMatch(/test-key\.pem is a private key/);
  });

  it('strings of the build are looked for in texts', () => {
    const built = (model: Model) => put(model, file('/etc/x', 'made in /home/builder/work\n'));
    expect(run('leftovers', parameters['leftovers'] ?? {}, built)).toBe('/etc/x names /home/builder');
  });

  it('a word that must not be on the command line', () => {
    expect(run('cmdline', { lacks: ['rootwait'] })).toMatch(/has rootwait/);
    expect(run('cmdline', { arguments: ['panic=10'] })).toMatch(/lacks panic=10/);
  });
});
