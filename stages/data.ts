import { built, directory, file, folder, literal, run, text } from '../src/core/shorthand.ts';
import { defineStage, Type } from '../src/core/stage.ts';

const open = { when: 'data-open' } as const;

export const data = defineStage({
  name: 'data',
  title: 'Encrypt the data with LUKS',
  about:
    'The first boot makes a LUKS2 partition on the rest of the card, with a key that no image ever held. Database, logs, secrets and backups live on it, in the folders that stages name with `dataBinds`. While it is closed nothing is written below their places, and only SSH runs. The unlock method is chosen by the site file.',
  guide: {
    14: built(
      'A LUKS2 partition for all that AMSLPR stores, made on the device: a container in an image would have one key for every card.',
    ),
  },

  options: Type.Object({}, { additionalProperties: false }),

  contribute(_options, { overlay }) {
    return {
      // tpm2-tools and clevis are for the unlock methods tpm2 and tang; kmod loads the driver of sticks for usb-key.
      packages: ['cryptsetup-bin', 'dmsetup', 'e2fsprogs', 'kmod', 'clevis', 'tpm2-tools', 'libtss2-tcti-device0t64'],
      files: [
        folder('/data', '0700'),
        overlay('/etc/systemd/system/amslpr-data.target'),
        overlay('/etc/systemd/system/amslpr-journal.service'),
        overlay('/etc/systemd/system/amslpr-retry.timer'),
        overlay('/etc/systemd/system/amslpr-retry.service'),
        overlay('/etc/systemd/system/amslpr-stick-drivers.service'),
      ],
      units: { 'amslpr-journal.service': 'enabled' },
      dataBinds: [{ path: '/var/log/journal', name: 'journal', mode: '02755', owner: 'root:systemd-journal' }],
      plainSecrets: [
        {
          path: '/var/lib/amslpr-device/keys/data.key',
          what: 'The key of the data partition',
          why: 'Only with the unlock method `card`, which opens without anybody, and for whoever has the card.',
          until: 'The headers of the data are overwritten, as `data: existing: erase` does.',
        },
      ],
      checks: {
        target: file('The application waits for open data', '/etc/systemd/system/amslpr-data.target', {
          guide: [14],
          matches: [/^AssertPathIsMountPoint=\/data$/m, /^AssertPathExists=\/var\/lib\/amslpr-device\/ready$/m],
        }),
        container: run('The data is in a LUKS2 container with a strong cipher', 'cryptsetup status amslpr-data', {
          ...open,
          guide: [14],
          matches: [/type:\s+LUKS2/, /cipher:\s+(aes-xts-plain64|xchacha(12|20),aes-adiantum-plain64)/],
        }),
        partition: run('The container is the fourth partition of the card', 'lsblk -rno NAME,FSTYPE,LABEL', {
          ...open,
          guide: [14],
          matches: /^(vda|sda|mmcblk\d+p)4 crypto_LUKS amslpr-data$/m,
        }),
        options: run('Nothing runs from the data partition, wherever it is mounted', 'findmnt -rno SOURCE,OPTIONS', {
          ...open,
          matches: /^\/dev\/mapper\/amslpr-data rw,/m,
          lacks: /^\/dev\/mapper\/amslpr-data\S* (?!rw,nosuid,nodev,noexec,)/m,
        }),
      },
    };
  },

  collect({ dataBinds }) {
    const binds = [...dataBinds].sort((a, b) => a.path.localeCompare(b.path));
    return {
      files: [
        text('/usr/share/amslpr/data-binds.json', `${JSON.stringify(binds, undefined, 1)}\n`),
        // What is seen while data is closed: nothing, and nobody but root can write there.
        ...binds.map(({ path }) => folder(path, '0700')),
      ],
      checks: {
        ...Object.fromEntries(
          binds.map(({ path, name }) => [
            `closed-${name}`,
            directory('Nothing is below the place of encrypted data', path, { mode: '0700', owner: 'root:root' }),
          ]),
        ),
        binds: run('Every folder of data is on the encrypted partition', 'findmnt -rno TARGET,SOURCE', {
          ...open,
          guide: [14],
          matches: binds.map(({ path, name }) => {
            const source = literal(`/dev/mapper/amslpr-data[/${name}]`);
            return new RegExp(`^${literal(path)} ${source}$`, 'm');
          }),
          // What is mounted over one of them is listed too, and would take what is meant for the data.
          lacks: new RegExp(
            `^(${binds.map(({ path }) => literal(path)).join('|')}) (?!/dev/mapper/amslpr-data\\[)`,
            'm',
          ),
        }),
      },
    };
  },
});
