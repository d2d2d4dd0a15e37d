import type { PlainSecret } from '../../src/core/contribution.ts';

/** What lies on root, for the reasons given: docs/secrets.md is made from it. */
export const firstBootSecrets: readonly PlainSecret[] = [
  {
    path: '/etc/ssh/ssh_host_ed25519_key',
    what: 'The SSH host key',
    why: 'A device whose data does not open has to be reached.',
    until: 'Root itself is encrypted.',
  },
  {
    path: '/var/lib/amslpr-device/site.yaml',
    what: 'Wi-Fi passphrase, enrolment token, password hashes that the site file brought',
    why: 'The network is needed before the data is open.',
    until: 'Root itself is encrypted.',
  },
  {
    path: '/etc/NetworkManager/system-connections/amslpr-wifi.nmconnection',
    what: 'The Wi-Fi passphrase',
    why: 'The network is needed before the data is open.',
    until: 'Root itself is encrypted.',
  },
  {
    path: '/etc/shadow',
    what: 'Hashes of the passwords for sudo',
    why: 'sudo has to work while the data is closed. The passwords are of 100 random bits, or yours.',
    until: 'Root itself is encrypted.',
  },
  {
    path: '/etc/shadow-',
    what: 'The same as they were before the last change of an account',
    why: 'The programs that change accounts make this copy. Nobody but root can read it.',
    until: 'Another change replaces it.',
  },
  {
    path: '/var/lib/NetworkManager/secret_key',
    what: 'A random key, from which private IPv6 addresses and DHCP identifiers are made',
    why: 'NetworkManager makes it when it first needs one. It tells which addresses the device will take, and opens nothing.',
    until: 'Root itself is encrypted.',
  },
  {
    path: '/var/lib/systemd/random-seed',
    what: 'Random numbers that are mixed into those of the next start',
    why: 'systemd keeps it. No randomness is credited for it, and keys wait for what the kernel has from other sources.',
    until: 'The next start replaces it.',
  },
  {
    path: '/var/lib/amslpr-device/data.json',
    what: 'Hashes of the first passwords and of the proof code',
    why: 'A first boot that was cut goes on from them. What they are of has 100 random bits, the code 32.',
    until: 'Root itself is encrypted; the code is of no use once it was given back.',
  },
];
