import type { Parameters } from '../../../src/audit/scans/scan.ts';
import { file, folder, link } from './helpers.ts';
import { capability, edit, elf, type Model, md5, put } from './model.ts';

/** One way in which a scan has to fail, on any model for which it passed. */
export interface Break {
  readonly what: string;
  readonly apply: (model: Model, parameters: Parameters) => void;
  /** What the evidence has to name. */
  readonly names: RegExp;
}

const shadowLine = (model: Model, path: string, line: string): void => edit(model, path, (text) => `${text}${line}\n`);

/** `file` with every attribute of the one that is there, but other content. */
const replace = (model: Model, path: string): void => edit(model, path, (text) => `${text}changed\n`);

/** The first packaged file of the model, or one that is recorded now. */
function recordedFile(model: Model): string {
  for (const [path, node] of model.nodes) {
    if (!/^\/var\/lib\/dpkg\/info\/.*\.md5sums$/.test(path)) continue;
    const name = /^[0-9a-f]{32} {2}(.+)$/m.exec(Buffer.from(node.bytes ?? []).toString())?.[1];
    if (name !== undefined) return `/${name}`;
  }
  throw new Error('the model has no packaged file');
}

export const breaks: Readonly<Record<string, readonly Break[]>> = {
  suid: [
    {
      what: 'SUID',
      apply: (model) => put(model, file('/usr/bin/x', 'x', { mode: 0o4755 })),
      names: /\/usr\/bin\/x is 4755/,
    },
    {
      what: 'SGID',
      apply: (model) => put(model, file('/usr/bin/x', 'x', { mode: 0o2755 })),
      names: /\/usr\/bin\/x is 2755/,
    },
  ],
  'world-writable': [
    { what: 'a file', apply: (model) => put(model, file('/etc/x', '', { mode: 0o666 })), names: /\/etc\/x is 0666/ },
    { what: 'a folder', apply: (model) => put(model, folder('/var/x', { mode: 0o777 })), names: /\/var\/x is 0777/ },
  ],
  capabilities: [
    {
      what: 'an unexpected file',
      apply: (model) => put(model, file('/usr/bin/x', 'x', { xattrs: { 'security.capability': capability(1 << 21) } })),
      names: /\/usr\/bin\/x has cap_sys_admin=ep/,
    },
    {
      what: 'version 3',
      apply: (model) =>
        put(model, file('/usr/bin/x', 'x', { xattrs: { 'security.capability': capability(1 << 13, 3) } })),
      names: /\/usr\/bin\/x: capabilities of version 3/,
    },
    {
      what: 'damage',
      apply: (model) => put(model, file('/usr/bin/x', 'x', { xattrs: { 'security.capability': new Uint8Array(3) } })),
      names: /3 damaged bytes/,
    },
  ],
  'file-owners': [
    {
      what: 'an unknown user',
      apply: (model) => put(model, file('/etc/x', '', { uid: 4711 })),
      names: /\/etc\/x belongs to 4711/,
    },
    {
      what: 'an unknown group',
      apply: (model) => put(model, file('/etc/x', '', { gid: 4711 })),
      names: /\/etc\/x belongs to .*:4711/,
    },
  ],
  'passwd-consistency': [
    {
      what: 'a second root',
      apply: (model) => {
        shadowLine(model, '/etc/passwd', 'toor:x:0:0::/root:/bin/sh');
        shadowLine(model, '/etc/shadow', 'toor:*:1::::::');
      },
      names: /toor has uid 0/,
    },
    {
      what: 'a person',
      apply: (model) => {
        shadowLine(model, '/etc/passwd', 'pi:x:1000:0::/home/pi:/bin/bash');
        shadowLine(model, '/etc/shadow', 'pi:!:1::::::');
      },
      names: /pi \(uid 1000\) is an account for a person/,
    },
    {
      what: 'no shadow line',
      apply: (model) => shadowLine(model, '/etc/passwd', 'x:x:990:0::/:/bin/sh'),
      names: /shadow lacks x/,
    },
    {
      what: 'no passwd line',
      apply: (model) => shadowLine(model, '/etc/shadow', 'x:*:1::::::'),
      names: /passwd lacks x/,
    },
    {
      what: 'a group that is not there',
      apply: (model) => {
        shadowLine(model, '/etc/passwd', 'x:x:990:4711::/:/bin/sh');
        shadowLine(model, '/etc/shadow', 'x:*:1::::::');
      },
      names: /x is in group 4711/,
    },
    {
      what: 'a member who is not there',
      apply: (model) => edit(model, '/etc/group', (text) => text.replace(/^root:x:0:.*$/m, 'root:x:0:ghost')),
      names: /root has the member ghost/,
    },
    {
      what: 'a hash in passwd',
      apply: (model) => edit(model, '/etc/passwd', (text) => text.replace(/^root:x:/m, 'root:$6$abc:')),
      names: /root has its password field in passwd/,
    },
    { what: 'no passwd', apply: (model) => model.nodes.delete('/etc/passwd'), names: /lacks root/ },
  ],
  'default-passwords': [
    {
      what: 'a hash',
      apply: (model) => edit(model, '/etc/shadow', (text) => text.replace(/^root:[^:]*:/m, 'root:$y$j9T$abc$def:')),
      names: /root has a password/,
    },
    {
      what: 'an empty password',
      apply: (model) => edit(model, '/etc/shadow', (text) => text.replace(/^root:[^:]*:/m, 'root::')),
      names: /root has an empty password/,
    },
    { what: 'no shadow', apply: (model) => model.nodes.delete('/etc/shadow'), names: /shadow is not there/ },
    {
      what: 'userconf',
      apply: (model) => put(model, file('/boot/firmware/userconf.txt', 'pi:x')),
      names: /userconf\.txt/,
    },
  ],
  leftovers: [
    ...(
      [
        ['/etc/ssh/ssh_host_ed25519_key', 'SSH host key'],
        ['/etc/ssh/ssh_host_rsa_key.pub', 'SSH host key'],
        ['/var/lib/dbus/machine-id', 'machine id'],
        ['/var/lib/systemd/random-seed', 'random seed'],
        ['/var/lib/systemd/credential.secret', 'same on every card'],
        ['/etc/ssl/private/ssl-cert-snakeoil.key', 'TLS key'],
        ['/var/lib/NetworkManager/secret_key', 'same on every card'],
        ['/var/lib/NetworkManager/seen-bssids', 'connected to'],
        ['/var/lib/NetworkManager/timestamps', 'connected to'],
        ['/var/lib/NetworkManager/internal-0123-eth0.lease', 'another machine'],
        ['/var/lib/dhcp/dhclient.eth0.leases', 'another machine'],
        ['/var/lib/dhcpcd/eth0.lease', 'another machine'],
        ['/var/lib/dhcpcd/lease/eth0.lease6', 'another machine'],
        ['/var/lib/dhcpcd/duid', 'same on every card'],
        ['/etc/NetworkManager/system-connections/Home.nmconnection', 'network of one site'],
        ['/etc/hostid', 'same on every card'],
        ['/etc/nvme/hostid', 'same on every card'],
        ['/etc/nvme/hostnqn', 'same on every card'],
        ['/etc/iscsi/initiatorname.iscsi', 'same on every card'],
        ['/var/lib/cloud/data/instance-id', 'another machine'],
        ['/etc/apt/auth.conf', 'password for package sources'],
        ['/etc/apt/auth.conf.d/private.conf', 'password for package sources'],
        ['/root/.ssh/authorized_keys', 'may log in'],
        ['/etc/ssh/authorized_keys.d/admin', 'may log in'],
        ['/root/.bash_history', 'typed'],
        ['/home/pi/.ssh/id_ed25519', 'private SSH key'],
        ['/var/lib/apt/lists/mirror_dists_trixie_main_binary-arm64_Packages', 'package index'],
        ['/var/cache/apt/pkgcache.bin', 'cache'],
        ['/var/cache/apt/archives/x_1_arm64.deb', 'downloaded package'],
        ['/var/log/dpkg.log', 'log of the build'],
        ['/var/log/nginx/access.log', 'log of the build'],
        ['/var/log/apt/history.log', 'log of the build'],
        ['/var/log/journal/0123/system.journal', 'another machine'],
        ['/usr/sbin/policy-rc.d', 'keeps services from starting'],
        ['/etc/resolv.conf', 'name servers'],
        ['/usr/bin/qemu-aarch64-static', 'emulator'],
        ['/tmp/x', 'temporary'],
        ['/run/x.pid', 'running system'],
        ['/boot/firmware/ssh', 'SSH on'],
        ['/boot/firmware/site.yaml', 'settings of one site'],
        ['/etc/amslpr/ssl/key.pem', 'private key'],
        ['/opt/x/server.key', 'private key'],
      ] as const
    ).map(([path, text]) => ({
      what: path,
      apply: (model: Model) => put(model, file(path, 'x')),
      names: new RegExp(`${path} is .*${text}`),
    })),
    ...['LUKS', 'SKUL'].map((magic) => ({
      what: `a header of ${magic}`,
      apply: (model: Model) => {
        const header = Uint8Array.from([...Buffer.from(magic), 0xba, 0xbe, 0, 2]);
        put(model, file('/root/data.img', header));
      },
      names: /\/root\/data\.img is a LUKS header/,
    })),
    {
      what: 'a private key by any name',
      apply: (model) => put(model, file('/usr/lib/x/y', '-----BEGIN OPENSSH PRIVATE KEY-----\nabc\n')),
      names: /\/usr\/lib\/x\/y is a private key/,
    },
    {
      what: 'a machine id',
      apply: (model) => put(model, file('/etc/machine-id', '0123456789abcdef0123456789abcdef\n')),
      names: /machine-id holds an id/,
    },
    {
      what: 'an empty machine id',
      apply: (model) => put(model, file('/etc/machine-id', '')),
      names: /machine-id holds nothing/,
    },
    {
      what: 'no machine id',
      apply: (model) => model.nodes.delete('/etc/machine-id'),
      names: /machine-id is not there/,
    },
  ],
  'known-leaks': [
    {
      what: 'a name',
      apply: (model) => put(model, file('/opt/x/users.json', '{}')),
      names: /\/opt\/x\/users\.json is there/,
    },
    {
      what: 'a digest',
      apply: (model) =>
        model.nodes.set('/opt/x/y', {
          ...withoutBytes(file('/opt/x/y', 'x')),
          sha256: '7311b6ccad411293a837a3f37cab0c9223981d678b30ca54606371439371b672',
        }),
      names: /\/opt\/x\/y is AMSLPR's published crypto\.key/,
    },
  ],
  'foreign-elf': [
    {
      what: 'a program',
      apply: (model) => put(model, file('/usr/bin/x', elf(62))),
      names: /\/usr\/bin\/x is for x86-64/,
    },
    {
      what: 'a program in the initramfs',
      apply: (model) => {
        const files = [{ path: 'usr/bin/x', mode: 0o755, size: 64, head: elf(62) }];
        model.archives = [{ path: '/boot/firmware/initramfs8', files }];
      },
      names: /initramfs8: usr\/bin\/x is for x86-64/,
    },
    {
      what: 'an initramfs that cannot be read',
      apply: (model) => {
        model.archives = [{ path: '/boot/firmware/initramfs8', files: [], error: 'ends early' }];
      },
      names: /initramfs8 can't be read: ends early/,
    },
  ],
  'package-files': [
    { what: 'another content', apply: (model) => replace(model, recordedFile(model)), names: /is not the file of/ },
    { what: 'a missing file', apply: (model) => model.nodes.delete(recordedFile(model)), names: /is missing/ },
    {
      what: 'no records',
      apply: (model) => {
        for (const path of [...model.nodes.keys()]) if (path.endsWith('.md5sums')) model.nodes.delete(path);
      },
      names: /no package has recorded/,
    },
  ],
  conffiles: [
    {
      what: 'another content',
      apply: (model) => {
        addConffile(model, '/etc/x.conf', 'as packaged\n');
        put(model, file('/etc/x.conf', 'changed\n'));
      },
      names: /\/etc\/x\.conf of x is changed/,
    },
    {
      what: 'a missing one',
      apply: (model) => addConffile(model, '/etc/x.conf', 'as packaged\n'),
      names: /\/etc\/x\.conf of x is missing/,
    },
    { what: 'no status', apply: (model) => model.nodes.delete('/var/lib/dpkg/status'), names: /status is not there/ },
  ],
  'enabled-units': [
    {
      what: 'an unexpected unit',
      apply: (model) =>
        put(
          model,
          file('/usr/lib/systemd/system/intruder.service', '[Service]\n'),
          link(
            '/etc/systemd/system/multi-user.target.wants/intruder.service',
            '/usr/lib/systemd/system/intruder.service',
          ),
        ),
      names: /starts intruder\.service/,
    },
    {
      what: 'a link to nothing',
      apply: (model) => put(model, link('/etc/systemd/system/multi-user.target.wants/none.service', '/none')),
      names: /none\.service: there is no unit file/,
    },
    {
      what: 'nothing',
      apply: (model) => {
        for (const path of [...model.nodes.keys()]) {
          if (/^\/etc\/systemd\/system\/.*\.(wants|requires)\//.test(path)) model.nodes.delete(path);
        }
      },
      names: /starts nothing at all/,
    },
  ],
  'unit-programs': [
    {
      what: 'a missing program',
      apply: (model) => put(model, file('/etc/systemd/system/x.service', '[Service]\nExecStart=-/usr/bin/none --x\n')),
      names: /x\.service: \/usr\/bin\/none is not there/,
    },
    {
      what: 'a program of a drop-in that cannot be executed',
      apply: (model) =>
        put(
          model,
          file('/usr/bin/x', 'x'),
          file('/etc/systemd/system/y.service.d/x.conf', '[Service]\nExecStartPre=+/usr/bin/x\n'),
        ),
      names: /\/usr\/bin\/x is not executable/,
    },
  ],
  cmdline: [
    ...['resize', 'init=/bin/sh', 'rdinit=/bin/sh', 'single', 'systemd.debug-shell=1', 'systemd.run=/x'].map(
      (word) => ({
        what: word,
        apply: (model: Model) => edit(model, '/boot/firmware/cmdline.txt', (text) => `${word} ${text}`),
        names: new RegExp(`cmdline\\.txt has ${word.replaceAll('.', '\\.')}`),
      }),
    ),
    {
      what: 'two lines',
      apply: (model) => edit(model, '/boot/firmware/cmdline.txt', (text) => `${text}quiet\n`),
      names: /has 2 lines/,
    },
    {
      what: 'another root',
      apply: (model) => edit(model, '/boot/firmware/cmdline.txt', (text) => text.replace(/root=\S+/, 'root=/dev/sda2')),
      names: /has root=\/dev\/sda2, the root partition is/,
    },
    {
      what: 'no root',
      apply: (model) => edit(model, '/boot/firmware/cmdline.txt', (text) => text.replace(/root=\S+/, '')),
      names: /has 0 root= arguments/,
    },
    {
      what: 'a missing argument',
      apply: (model, parameters) => {
        const [first] = Array.isArray(parameters['arguments']) ? parameters['arguments'] : ['root'];
        edit(model, '/boot/firmware/cmdline.txt', (text) => text.replace(String(first), ''));
      },
      names: /lacks |0 root=/,
    },
    { what: 'no file', apply: (model) => model.nodes.delete('/boot/firmware/cmdline.txt'), names: /is not there/ },
  ],
  fstab: [
    {
      what: 'another card',
      apply: (model) => shadowLine(model, '/etc/fstab', 'PARTUUID=deadbeef-01 /x ext4 defaults 0 0'),
      names: /\/x is on deadbeef-01/,
    },
    { what: 'a short line', apply: (model) => shadowLine(model, '/etc/fstab', '/dev/x /x'), names: /has 2 fields/ },
    {
      what: 'no root',
      apply: (model) => edit(model, '/etc/fstab', () => 'proc /proc proc defaults 0 0\n'),
      names: /no line for \//,
    },
    { what: 'no file', apply: (model) => model.nodes.delete('/etc/fstab'), names: /fstab is not there/ },
  ],
  partitions: [
    { what: 'no disk', apply: (model) => (model.disk = undefined), names: /no image with partitions/ },
    { what: 'slot 3 in use', apply: (model) => addPartition(model, 3), names: /partition 3 is in use/ },
    { what: 'slot 4 in use', apply: (model) => addPartition(model, 4), names: /partition 4 is in use/ },
    {
      what: 'no root',
      apply: (model) => changePartitions(model, (list) => list.slice(0, 1)),
      names: /partition 2 is missing/,
    },
    {
      what: 'another type',
      apply: (model) => changePartitions(model, (list) => list.map((one) => ({ ...one, type: 0x0e }))),
      names: /partition 1 has type e/,
    },
    {
      what: 'a crooked start',
      apply: (model) => changePartitions(model, (list) => list.map((one) => ({ ...one, start: one.start + 1 }))),
      names: /not at a multiple of 4 MiB/,
    },
    {
      what: 'root before boot',
      apply: (model) =>
        changePartitions(model, (list) => list.map((one) => (one.slot === 2 ? { ...one, start: 0 } : one))),
      names: /partition 2 lies before/,
    },
    { what: 'no signature', apply: (model) => changeDisk(model, { signature: 0 }), names: /signature is zero/ },
    { what: 'too big', apply: (model) => changeDisk(model, { size: 8e9 }), names: /8000000000 bytes/ },
  ],
  'update-origins': [
    {
      what: 'an archive without a pattern',
      apply: (model) => {
        put(
          model,
          file('/etc/apt/sources.list.d/more.sources', 'Types: deb\nURIs: http://more.example/\nSuites: trixie\n'),
        );
        put(model, file('/etc/apt/apt.conf.d/99', '#clear Unattended-Upgrade::Origins-Pattern;\n'));
      },
      names: /no pattern covers \/etc\/apt\/sources\.list\.d\/more\.sources \(http:\/\/more\.example\/\)/,
    },
    {
      what: "an archive beside Debian's own pattern",
      apply: (model) => {
        put(model, file('/etc/apt/sources.list.d/old.list', 'deb [arch=arm64] http://old.example/ trixie main\n'));
        const lines = ['Unattended-Upgrade::Origins-Pattern {', '  "origin=Debian,label=Debian";', '};'];
        const text = `#clear Unattended-Upgrade::Origins-Pattern;\n${lines.join('\n')}\n`;
        put(model, file('/etc/apt/apt.conf.d/99', text));
      },
      names: /no pattern covers \/etc\/apt\/sources\.list\.d\/old\.list/,
    },
  ],
};

function withoutBytes(node: ReturnType<typeof file>): ReturnType<typeof file> {
  const { bytes: _, ...rest } = node;
  return rest;
}

function addConffile(model: Model, path: string, packaged: string): void {
  const paragraph = `Package: x\nStatus: install ok installed\nConffiles:\n ${path} ${md5(packaged)}\n`;
  edit(model, '/var/lib/dpkg/status', (text) => `${text.trimEnd()}\n\n${paragraph}`);
}

type Disk = NonNullable<Model['disk']>;
function changeDisk(model: Model, change: Partial<Disk>): void {
  if (model.disk === undefined) throw new Error('the model has no disk');
  model.disk = { ...model.disk, ...change };
}
function changePartitions(model: Model, change: (list: Disk['partitions']) => Disk['partitions']): void {
  changeDisk(model, { partitions: change(model.disk?.partitions ?? []) });
}
const addPartition = (model: Model, slot: number): void =>
  changePartitions(model, (list) => [...list, { slot, type: 0x83, bootable: false, start: 8388608, sectors: 8192 }]);
