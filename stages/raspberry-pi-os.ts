import type { AbsPath } from '../src/core/contribution.ts';
import { absent, scan, text, unit, words } from '../src/core/shorthand.ts';
import { defineStage, Type } from '../src/core/stage.ts';

/** What an official image starts once or at every boot, and our own first boot does in its place or nobody needs. */
const units = words(`
  userconfig.service sshswitch.service rpi-resize.service regenerate_ssh_host_keys.service
  cloud-init-main.service cloud-init-local.service cloud-init-network.service cloud-init.service cloud-config.service
  cloud-final.service cloud-init-hotplugd.socket rpi-eeprom-update.service
`);

/** Files of the boot partition that the wizard, Raspberry Pi Imager and cloud-init are told by. */
const seeds = words(`
  user-data meta-data network-config vendor-data userconf userconf.txt firstrun.sh custom.toml rpi-preseed.toml
`).map((name): AbsPath => `/boot/firmware/${name}`);

const scripts: readonly AbsPath[] = [
  '/usr/share/initramfs-tools/scripts/*/resize_early',
  '/usr/share/initramfs-tools/scripts/*/set_partuuid',
  '/etc/initramfs-tools/scripts/*/resize_early',
  '/etc/initramfs-tools/scripts/*/set_partuuid',
];

export const raspberryPiOs = defineStage({
  name: 'raspberry-pi-os',
  title: 'Take over the first boot of Raspberry Pi OS',
  about:
    'An official image asks for a user, switches SSH on by a file, grows its root, changes its disk signature and runs cloud-init, all at its first boot, and beside ours each of these would wait for somebody or win a race. With the base `raspios` they are removed or masked; the checks are asked of every image. The engine leaves the rest of what such an image starts only where stages allow it.',
  guide: {},
  needs: ['services', 'boot-files'],

  options: Type.Object({}, { additionalProperties: false }),

  contribute(_options, { target }) {
    const absentPackage = (name: string) =>
      ({ kind: 'package', title: `${name} is not installed`, package: name, is: 'absent' }) as const;
    return {
      ...(target.base === 'raspios'
        ? {
            purge: ['cloud-init', 'rpi-cloud-init-mods', 'userconf-pi', 'netplan.io'],
            units: Object.fromEntries(units.map((name) => [name, 'masked' as const])),
            files: [
              // An image may have been finished for the root device of its own build, which this one has not.
              { ...text('/etc/initramfs-tools/conf.d/zz-amslpr', 'MODULES=most\n'), initramfs: true },
            ],
          }
        : {}),
      checks: {
        wizard: unit('No wizard asks for a user', 'userconfig.service', 'disabled'),
        'wizard-package': absentPackage('userconf-pi'),
        'cloud-init': absentPackage('cloud-init'),
        'cloud-init-units': unit('cloud-init does not run', 'cloud-init-main.service', 'disabled'),
        'cloud-init-settings': absent('cloud-init has no settings', ['/etc/cloud', '/var/lib/cloud']),
        seeds: absent('The boot partition sets up no user and no network', seeds, {
          why: 'They would be read at the first boot, before or after our site file.',
        }),
        'ssh-switch': unit('No file on the boot partition switches SSH on', 'sshswitch.service', 'disabled'),
        resize: unit('Nobody else grows the root', 'rpi-resize.service', 'disabled', {
          why: 'The first boot leaves room for the encrypted partition, which a root that fills the card does not.',
        }),
        'host-keys': unit('Nobody else makes host keys', 'regenerate_ssh_host_keys.service', 'disabled'),
        bootloader: unit('The boot loader is not changed at a boot', 'rpi-eeprom-update.service', 'disabled'),
        signature: absent('The initramfs changes neither root partition nor disk signature', scripts, {
          why: 'fstab, cmdline.txt and our own records name partitions by that signature.',
        }),
        origins: scan('Updates are taken from every archive of the image', 'update-origins', { guide: [2] }),
      },
    };
  },
});
