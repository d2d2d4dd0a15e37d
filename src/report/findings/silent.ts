import type { Finding } from './finding.ts';

/** What the intent of the guide needs and its text does not name. */
export const silentFindings: readonly Finding[] = [
  {
    finding: 'An account for the service: no installer makes one',
    answer: '`amslpr`, without a shell and without a log-in.',
    why: 'Who may write what is a question about accounts.',
    checks: ['folders/account', 'application/unit'],
  },
  {
    finding: 'A sandbox: no unit of AMSLPR has any',
    answer:
      'systemd’s and AppArmor’s, for application, nginx and our own units. Network, GPIO and serial port only where the configuration gives them.',
    why: 'The application has known faults. With `camera` memory may be both written and run, since what reads pictures may need that.',
    checks: ['application/sandbox', 'nginx/sandbox', 'apparmor/confined'],
    tests: [
      'test/unit/stages-app.test.ts: locks the unit in as far as its options allow',
      'test/image/exposure.test.ts: the application closed enough with camera, GPIO and serial port',
      'test/extended/devices.test.ts: reads a frame, asks the GPIO chip, and writes to the serial port',
    ],
  },
  {
    finding: 'A watchdog for the service',
    why: 'gunicorn never answers systemd’s watchdog, which would end a healthy service. It is started again when it ends, and the board’s watchdog resets a system that hangs; an application that hangs and lives is noticed by the machine that asks for its log-in page ([monitoring](runbooks/monitoring.md)).',
  },
  {
    finding: 'A Hailo accelerator (/dev/hailo0)',
    why: 'Debian has neither its driver nor its programs, so the sandbox has no option for it. The installers make an empty file and false modules in its place; nothing of that is taken.',
  },
  {
    finding: 'Secrets of its own for each device: SSH host key, TLS key, Fernet key, session key, first passwords',
    answer: 'All are made on the first boot; an image that holds one is refused.',
    why: 'What is in an image is the same on every card and known to whoever has the image.',
    checks: [
      'sshd/no-host-key',
      'tls/no-key',
      'first-boot/no-state',
      'first-boot/host-key',
      'tls/key',
      'first-boot/fernet-key',
      'folders/secrets',
    ],
    tests: ['test/boot/default-image.test.ts: shares nothing with the first but what comes from the image'],
  },
  {
    finding: 'Machine id and random seed',
    answer: 'The image has neither; the first boot waits for good random numbers before the first key.',
    why: 'With one seed on all cards the first keys could be alike.',
    checks: ['base-system/machine-id', 'base-system/leftovers'],
  },
  {
    finding: 'Default accounts of the system',
    answer: 'No account has a password in an image, root is locked, and the user of the base is removed.',
    why: 'They are the first that is tried.',
    checks: [
      'base-system/passwords',
      'accounts/root-locked',
      'accounts/no-nopasswd',
      'raspberry-pi-os/wizard',
      'raspberry-pi-os/seeds',
    ],
  },
  {
    finding: 'A gate in front of the application’s pages',
    answer: 'The wrapper, see above.',
    why: 'Without it the strongest password protects nothing.',
    checks: ['application/pages-closed'],
    tests: ['test/python/test_wrapper.py: test_pages_need_a_log_in'],
  },
  {
    finding: 'Kernel settings',
    answer: 'The stage `kernel`: settings, arguments, and modules that cannot be loaded.',
    why: 'The sandbox is as strong as the kernel below it.',
    checks: [
      'kernel/settings',
      'kernel/arguments',
      'kernel/modules',
      'kernel/pointers',
      'kernel/redirects',
      'kernel/security-modules',
    ],
  },
  {
    finding: 'The time: certificates, HSTS and backups depend on it, and boards before the Pi 5 have no clock',
    answer:
      'systemd-timesyncd; a start never goes behind the last time that was known, and a clock that no server confirmed is an alert.',
    why: 'Certificates begin a day before the last known time, so a wrong clock does not stop HTTPS. NTP itself is not authenticated: a server is named by the operator where that matters.',
    checks: ['network/time', 'monitoring/looks'],
    tests: [
      'device/tests/test_monitor.py: test_a_clock_that_was_set_is_told',
      'device/tests/test_steps.py: test_the_certificate_names_everything_and_is_good_now',
    ],
  },
  {
    finding: 'Protection of the boot partition',
    answer: 'It is mounted read-only; installing packages opens it for that time.',
    why: 'A power cut then damages nothing there. It protects from accidents, not from whoever holds the card.',
    checks: ['mounts/table', 'mounts/boot-options', 'mounts/apt-writes-boot'],
  },
  {
    finding: 'USB ports, which whoever is at the device can reach',
    answer:
      'No USB device is used that no rule admitted: hubs, network cards, keyboards; with options serial ports, disks and devices by their ids. Others are an alert.',
    why: 'A stick may be a keyboard that types, or a file system that is made to break the kernel. USBGuard would need a list of devices, and a Pi 3’s own Ethernet is on USB.',
    checks: ['usb/rules', 'usb/use', 'usb/admitted', 'kernel/modules'],
    tests: ['test/extended/usb.test.ts: uses hub, keyboard and network card, and nothing else'],
  },
  {
    finding: 'Secure boot',
    why: 'Its keys are burnt into the board and cannot be taken back, boards up to the Pi 3 have none, and nothing here was tried on hardware. The threat model says what follows: no unlock method keeps data from somebody who changes a card and gives it back.',
  },
  {
    finding: 'Compilers, debuggers and tracers, which images of Raspberry Pi OS bring',
    answer: 'They are removed from an image that has them.',
    why: 'They are what an intruder would have to bring.',
    checks: ['base-system/no-compiler', 'base-system/no-debugger'],
  },
];
