import { built, text } from '../src/core/shorthand.ts';
import { defineStage, Type } from '../src/core/stage.ts';
import { textOf } from '../src/core/values.ts';
import { monitoringChecks } from './monitoring/checks.ts';

/** Units whose failure is told at once; others are seen at the next look. */
const watched = [
  'amslpr-first-boot.service',
  'amslpr-provision.service',
  'amslpr.service',
  'apt-daily-upgrade.service',
  'apt-daily.service',
  'fail2ban.service',
  'nginx.service',
  'ssh.service',
  'ufw.service',
] as const;

const percent = (of: string, value: number) =>
  Type.Integer({ minimum: 50, maximum: 99, default: value, description: `Percent of ${of} in use that are an alert.` });

export const monitoring = defineStage({
  name: 'monitoring',
  title: 'Notice what is wrong, and tell somebody',
  about:
    'Every few minutes the device looks at its units, card, memory, temperature, power supply, log-ins, backups, updates and clock. What is wrong is told once, again each day while it lasts, and when it is over: in the journal, by `amslpr-device status`, on the screen, and by mail once the site has a relay (`mail` of the site file, or `amslpr-device mail set`). Thresholds are options.',
  guide: {
    50: built(
      'Alerts and a daily report go by TLS to the relay of the operator; without one they are in the journal, in the status and on the screen.',
    ),
    51: built('A timer looks at memory, load, card, temperature and supply voltage, with thresholds as options.'),
    52: built('Bans, and many failed log-ins below them, are alerts with the addresses.'),
  },
  needs: ['data', 'folders'],

  options: Type.Object(
    {
      everyMinutes: Type.Integer({ minimum: 1, maximum: 60, default: 5, description: 'Minutes between two looks.' }),
      diskPercent: percent('a file system', 85),
      memoryPercent: percent('the memory', 90),
      loadPerCore: Type.Integer({
        minimum: 1,
        maximum: 20,
        default: 2,
        description: 'Load of the last 15 minutes for each core of the processor that is an alert.',
      }),
      temperature: Type.Integer({
        minimum: 50,
        maximum: 100,
        default: 80,
        description: 'Degrees Celsius that are an alert. A Pi makes itself slower from 80 to 85.',
      }),
      failedLogins: Type.Integer({
        minimum: 1,
        maximum: 10000,
        default: 20,
        description: 'Failed log-ins in an hour that are an alert. A ban is always one.',
      }),
      remindHours: Type.Integer({
        minimum: 1,
        maximum: 720,
        default: 24,
        description: 'An alert that lasts is told again after so many hours.',
      }),
      digest: Type.Boolean({ default: true, description: 'Whether there is a daily report, even when all is well.' }),
      digestTime: textOf('timeOfDay', {
        default: '06:30',
        description: 'When the report is made, in device time: "HH:MM".',
      }),
    },
    { additionalProperties: false },
  ),

  contribute({ everyMinutes, digest, digestTime, ...thresholds }, { overlay }) {
    const units = '/etc/systemd/system';
    return {
      packages: ['python3', 'ca-certificates'],
      files: [
        text('/usr/share/amslpr/monitoring.json', `${JSON.stringify(thresholds)}\n`),
        overlay(`${units}/amslpr-alert@.service`),
        overlay(`${units}/amslpr-monitor.service`),
        overlay(`${units}/amslpr-monitor.timer`, { data: { minutes: everyMinutes } }),
        overlay(`${units}/amslpr-mail.service`),
        overlay(`${units}/amslpr-digest.service`),
        ...(digest ? [overlay(`${units}/amslpr-digest.timer`, { data: { time: digestTime } })] : []),
        ...watched.map((unit) =>
          text(`${units}/${unit}.d/50-amslpr-alert.conf`, '[Unit]\nOnFailure=amslpr-alert@%n.service\n'),
        ),
      ],
      units: { 'amslpr-monitor.timer': 'enabled', ...(digest ? { 'amslpr-digest.timer': 'enabled' as const } : {}) },
      // Messages that wait, and what was told already.
      dataBinds: [{ path: '/var/spool/amslpr', name: 'spool', mode: '0700', owner: 'root:root' }],
      checks: monitoringChecks(watched, digest),
    };
  },
});
