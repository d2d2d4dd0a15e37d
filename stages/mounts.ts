import { directory, file, run, text } from '../src/core/shorthand.ts';
import { defineStage, Type } from '../src/core/stage.ts';

const closed = ['noexec', 'nosuid', 'nodev'];

/** One line with all of these: what is mounted over a place comes as another line. */
const once = (options: readonly string[]) =>
  new RegExp(`^${options.map((one) => `(?=(.*,)?${one}(,|\\n|$))`).join('')}.*\\n?$`);

export const mounts = defineStage({
  name: 'mounts',
  title: 'Mount what can be written without programs',
  about:
    'Nothing can be run from /tmp, /dev or shared memory, and the boot partition is read-only but while packages are installed: a cut at the wrong moment would damage its FAT and the board would not start.',
  guide: {},
  needs: ['base-system'],

  options: Type.Object(
    {
      tmpPercent: Type.Integer({ minimum: 5, maximum: 75, default: 25, description: 'Share of the memory for /tmp.' }),
    },
    { additionalProperties: false },
  ),

  contribute({ tmpPercent }, { overlay }) {
    return {
      files: [
        overlay('/etc/fstab'),
        overlay('/etc/systemd/system/tmp.mount.d/10-amslpr.conf', { data: { tmpPercent } }),
        overlay('/usr/lib/amslpr/boot-writable', { mode: '0755' }),
        overlay('/etc/apt/apt.conf.d/60amslpr-boot-writable'),
        // Package scripts are run from here, and /tmp runs nothing.
        text('/etc/apt/apt.conf.d/60amslpr-templates', 'APT::ExtractTemplates::TempDir "/var/tmp";\n'),
        overlay('/etc/initramfs/post-update.d/y-amslpr-boot-writable', { mode: '0755' }),
        overlay('/etc/initramfs/post-update.d/zz-amslpr-boot-writable', { mode: '0755' }),
      ],
      checks: {
        table: file('The boot partition is read-only and runs nothing', '/etc/fstab', {
          matches: /^PARTUUID=[0-9a-f]{8}-01\s+\/boot\/firmware\s+vfat\s+ro,nodev,nosuid,noexec,/m,
        }),
        tmp: directory('/tmp is for everybody', '/tmp', { mode: '01777', owner: 'root:root' }),
        'tmp-options': run('Nothing runs from /tmp', 'findmnt -no OPTIONS /tmp', { matches: once(closed) }),
        'shm-options': run('Nothing runs from shared memory', 'findmnt -no OPTIONS /dev/shm', {
          matches: once(closed),
        }),
        'dev-options': run('Nothing runs from /dev', 'findmnt -no OPTIONS /dev', {
          matches: once(['noexec', 'nosuid']),
        }),
        'boot-options': run('The boot partition is mounted read-only', 'findmnt -no OPTIONS /boot/firmware', {
          matches: once(['ro', ...closed]),
        }),
        'apt-writes-boot': run(
          'Package installation can write the boot partition',
          'apt-config dump DPkg::Pre-Invoke',
          {
            guide: [2],
            matches: /"\/usr\/lib\/amslpr\/boot-writable open/,
            why: "Otherwise a new kernel could not be put there, and dpkg would stop in the kernel's own script.",
          },
        ),
      },
    };
  },
});
