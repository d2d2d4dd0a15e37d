import type { FirstBootStep } from '../../src/core/contribution.ts';

/** In the order of device/amslpr_device/runner.py; a test compares the two. */
const titles: Readonly<Record<string, string>> = {
  entropy: 'Wait for good random numbers',
  clock: 'Set the clock no earlier than the last known time',
  identity: 'Note the ids of board and card',
  site: 'Read and check the site file',
  hostname: 'Take host name and time zone',
  'machine-id': 'Write the machine id',
  admins: 'Make the administrators',
  'host-key': 'Make the SSH host key',
  network: 'Connect',
  firewall: 'Limit SSH to the management networks, and close the network of the cameras',
  'ssh-ready': 'Let sshd start',
  board: 'Look whether the card is in its own board',
  partitions: 'Grow root and make room for data',
  data: 'Write the recovery bundle, then make the encrypted partition',
  'sudo-passwords': 'Set the passwords for sudo',
  'data-open': 'Open and mount the encrypted partition',
  tls: 'Make TLS key and certificate',
  secrets: "Make the application's secrets",
  'backup-recipients': 'Note whom backups are encrypted to',
  report: 'Write the report',
  'clean-site-file': 'Take secrets out of the site file',
  ready: 'Start nginx and the application',
};

export const firstBootSteps: readonly FirstBootStep[] = Object.entries(titles).map(([name, title]) => ({
  name,
  title,
}));
