import { absent, built, file, link, run, symlink, text, unit } from '../src/core/shorthand.ts';
import { defineStage, Type } from '../src/core/stage.ts';
import { firstBootChecks } from './first-boot/checks.ts';
import { ledChecks } from './first-boot/led.ts';
import { firstBootSecrets } from './first-boot/secrets.ts';
import { firstBootSteps } from './first-boot/steps.ts';

const KIB = 1024;
/** A file of the boot partition that the device overwrites in place: FAT's table never changes for it. */
const preallocated = (name: string, kib: number, start = '') =>
  text(`/boot/firmware/${name}`, start.padEnd(kib * KIB, '\n'));

const programLink = { kind: 'symlink', target: '../sbin/amslpr-device' } as const;

export const firstBoot = defineStage({
  name: 'first-boot',
  title: 'Make keys and accounts on the device itself',
  about:
    'On its first boot the device takes its site file, makes administrators and SSH host key, and lets them in; then it makes its encrypted partition, TLS key, passwords and report. Each step checks what it made and not that it ran, so a power cut at any moment is mended by the next boot. Steps are in device/amslpr_device/steps.',
  guide: {
    12: built('The TLS key is made on the device with mode 600, on the encrypted partition.'),
    16: built('Passwords are made on the device, at random, and encrypted to the operator’s keys.'),
    37: built('The Fernet key is made on the device, 600, on the encrypted partition.'),
  },
  needs: ['accounts', 'sshd', 'network', 'mounts', 'data', 'tls'],

  options: Type.Object({}, { additionalProperties: false }),

  contribute(_options, { overlay }) {
    return {
      packages: ['python3', 'age', 'openssl', 'openssh-client', 'passwd', 'util-linux', 'iproute2', 'iw'],
      files: [
        {
          path: '/usr/lib/amslpr/amslpr_device',
          mode: '0644',
          owner: 'root:root',
          content: { kind: 'source', source: 'device/amslpr_device' },
        },
        overlay('/usr/sbin/amslpr-device', { mode: '0755' }),
        // An administrator's own PATH has no sbin.
        { path: '/usr/bin/amslpr-device', mode: '0777', owner: 'root:root', content: programLink },
        overlay('/etc/NetworkManager/conf.d/70-amslpr-first-boot.conf'),
        overlay('/etc/systemd/logind.conf.d/60-amslpr.conf'),
        overlay('/etc/modules-load.d/amslpr-led.conf'),
        // Would start log-in prompts on serial ports.
        symlink('/etc/systemd/system-generators/systemd-getty-generator', '/dev/null'),
        overlay('/etc/systemd/system/amslpr-first-boot.service'),
        overlay('/etc/systemd/system/amslpr-provision.service'),
        overlay('/etc/systemd/system/amslpr-device.socket'),
        overlay('/etc/systemd/system/amslpr-device@.service'),
        overlay('/etc/systemd/system/amslpr-console.service'),
        overlay('/etc/systemd/system/amslpr-claimed.path'),
        overlay('/etc/systemd/system/amslpr-claimed.service'),
        preallocated('STATUS.TXT', 4, 'AMSLPR device\n\nnever started\n'),
        preallocated('report.json', 16),
        preallocated('bundle.0', 16),
        preallocated('bundle.1', 16),
      ],
      units: {
        'amslpr-first-boot.service': 'enabled',
        'amslpr-provision.service': 'enabled',
        'amslpr-device.socket': 'enabled',
        'amslpr-console.service': 'enabled',
        'amslpr-claimed.path': 'enabled',
        // The screen shows the status; nobody logs in there.
        'getty@tty1.service': 'masked',
      },
      firstBoot: firstBootSteps,
      plainSecrets: firstBootSecrets,
      checks: {
        starts: unit('The first boot runs', 'amslpr-first-boot.service', 'enabled'),
        continues: unit('The first boot goes on after SSH', 'amslpr-provision.service', 'enabled'),
        claims: unit('The first log-in is noted', 'amslpr-claimed.path', 'enabled'),
        'no-console': unit('Nobody logs in at the screen', 'getty@tty1.service', 'masked'),
        'no-serial-console': link(
          'Nobody logs in at a serial port',
          '/etc/systemd/system-generators/systemd-getty-generator',
          '/dev/null',
        ),
        'no-state': absent('No device has been made of this image', ['/var/lib/amslpr-device/**'], { guide: [12, 16] }),
        status: file('STATUS.TXT can be overwritten in place', '/boot/firmware/STATUS.TXT', {
          matches: /^AMSLPR device\n\nnever started\n\n{4000,}$/,
        }),
        ...firstBootChecks(run),
        ...ledChecks,
      },
    };
  },
});
