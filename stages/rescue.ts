import { absent, directory, file, folder, unit } from '../src/core/shorthand.ts';
import { defineStage, Type } from '../src/core/stage.ts';

const FOLDER = '/var/lib/amslpr-rescue';

export const rescue = defineStage({
  name: 'rescue',
  title: 'Reach a device that does not start',
  about:
    'Where a Linux system opens a root shell to whoever stands before it (emergency and rescue mode: a broken fstab, a damaged file system), this one starts network, firewall and SSH and nothing else. The same after three starts in a row that came to no end. The LED, the screen, STATUS.TXT and `amslpr-device status` say so. After an hour with nobody logged in it tries a normal start. A root partition that cannot be mounted is beyond this.',
  guide: {},
  needs: ['sshd', 'network', 'firewall'],

  options: Type.Object({}, { additionalProperties: false }),

  contribute(_options, { overlay }) {
    return {
      packages: ['procps'],
      files: [
        overlay('/etc/systemd/system/emergency.service.d/10-amslpr.conf'),
        overlay('/etc/systemd/system/rescue.service.d/10-amslpr.conf'),
        overlay('/etc/systemd/system-generators/amslpr-rescue', { mode: '0755' }),
        overlay('/etc/systemd/system/amslpr-boot-attempt.service'),
        overlay('/etc/systemd/system/amslpr-rescue.target'),
        overlay('/etc/systemd/system/amslpr-rescue.service'),
        overlay('/etc/systemd/system/amslpr-rescue-retry.service'),
        overlay('/etc/systemd/system/amslpr-rescue-retry.timer'),
        overlay('/usr/lib/amslpr/to-rescue', { mode: '0755' }),
        overlay('/usr/lib/amslpr/boot-attempts', { mode: '0755' }),
        folder(FOLDER),
      ],
      units: { 'amslpr-boot-attempt.service': 'enabled' },
      checks: {
        counts: unit('Starts that come to no end are counted', 'amslpr-boot-attempt.service', 'enabled'),
        folder: directory('The count has its place', FOLDER, { mode: '0755', owner: 'root:root' }),
        'not-counted': absent('The image brings no count', [`${FOLDER}/*`]),
        generator: file(
          'Three failed starts lead to SSH and nothing else',
          '/etc/systemd/system-generators/amslpr-rescue',
          {
            mode: '0755',
            owner: 'root:root',
            matches: /-ge 3 .*\n\s+ln -sf \/etc\/systemd\/system\/amslpr-rescue\.target "\$2\/default\.target"/,
          },
        ),
        emergency: file('Emergency mode opens no shell', '/etc/systemd/system/emergency.service.d/10-amslpr.conf', {
          matches: [/^ExecStart=$/m, /^ExecStart=\/usr\/lib\/amslpr\/to-rescue emergency$/m],
          lacks: /sulogin/,
        }),
        single: file('Rescue mode opens no shell', '/etc/systemd/system/rescue.service.d/10-amslpr.conf', {
          matches: [/^ExecStart=$/m, /^ExecStart=\/usr\/lib\/amslpr\/to-rescue rescue$/m],
          lacks: /sulogin/,
        }),
        target: file('Rescue starts SSH behind the firewall', '/etc/systemd/system/amslpr-rescue.target', {
          matches: [/^Wants=.*\bufw\.service ssh\.service\b/m, /^Wants=systemd-user-sessions\.service$/m],
        }),
      },
    };
  },
});
