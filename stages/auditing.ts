import { builtWithout } from '../src/core/kernel-offers.ts';
import { file, installed, run, unit } from '../src/core/shorthand.ts';
import { defineStage, Type } from '../src/core/stage.ts';

const LOG = '/var/log/audit';
const CANNOT = 'this kernel cannot audit';
/** What auditctl says, on a kernel that has what it asks for. */
const ask = (option: string) => [
  'sh',
  '-c',
  `if ${builtWithout('CONFIG_AUDIT')}; then echo ${CANNOT}; else auditctl ${option}; fi`,
];
const says = (...lines: readonly string[]) => lines.map((line) => new RegExp(`^(.* )?(${line}|${CANNOT})$`, 'm'));

export const auditing = defineStage({
  name: 'auditing',
  title: 'Record what people and programs change (auditd)',
  about:
    "The kernel's audit log: changes of accounts, keys, units, firewall and code, commands as root, refused access. It is on the encrypted partition, 36 MiB at most, and while that is closed nothing is recorded. Nothing waits for it and nothing halts for it: records are dropped first. On a kernel without auditing it does not start.",
  guide: {},
  needs: ['data'],

  options: Type.Object({}, { additionalProperties: false }),

  contribute(_options, { overlay }) {
    const conf = '/etc/audit/auditd.conf';
    const open = { when: 'data-open' } as const;
    return {
      packages: ['auditd'],
      diversions: [conf],
      statOverrides: { '/etc/audit/rules.d/audit.rules': { mode: '0600', owner: 'root:root' } },
      files: [
        overlay(conf, { mode: '0640' }),
        overlay('/etc/audit/rules.d/zz-amslpr.rules', { mode: '0600' }),
        overlay('/etc/systemd/system/auditd.service'),
        overlay('/etc/systemd/system/amslpr-data.target.d/50-auditd.conf'),
      ],
      units: {
        // Not at boot: amslpr-data.target starts it when its place is there.
        'auditd.service': 'disabled',
        // Loaded with auditd, which asks for it: before that records would go to the kernel's log.
        'audit-rules.service': 'disabled',
        // Would write every record to the journal once more.
        'systemd-journald-audit.socket': 'masked',
      },
      dataBinds: [{ path: LOG, name: 'audit', mode: '0700', owner: 'root:root' }],
      checks: {
        installed: installed('auditd is there', 'auditd'),
        waits: unit('auditd does not start at boot', 'auditd.service', 'disabled'),
        starts: file(
          'auditd starts with the encrypted partition',
          '/etc/systemd/system/amslpr-data.target.d/50-auditd.conf',
          { matches: /^Wants=auditd\.service$/m },
        ),
        'once-only': unit('Records are not written twice', 'systemd-journald-audit.socket', 'masked'),
        bounded: file('The audit log is bounded, and never halts the device', conf, {
          mode: '0640',
          owner: 'root:root',
          matches: [
            /^max_log_file = 6$/m,
            /^num_logs = 6$/m,
            /^max_log_file_action = ROTATE$/m,
            /^admin_space_left_action = SYSLOG$/m,
            /^disk_full_action = SYSLOG$/m,
          ],
          lacks: /_action = (HALT|halt|SINGLE|single|EXEC|exec)/,
        }),
        rules: file('Rules record changes of accounts and code', '/etc/audit/rules.d/zz-amslpr.rules', {
          mode: '0600',
          owner: 'root:root',
          matches: [/^--backlog_wait_time 0$/m, /^-f 1$/m, /^-w \/etc\/shadow -p wa -k identity$/m, /-k code$/m],
          lacks: /^-(f 2|e 2)/m,
          why: 'Mode 2 of -f would stop the kernel, and a wait time would stop programs while the log is slow.',
        }),
        runs: {
          ...run('The kernel gives its records to auditd, and waits for nobody', 'sh', {
            ...open,
            matches: says('enabled 1', 'failure 1', 'pid [1-9]\\d*', 'backlog_wait_time 0'),
          }),
          run: ask('-s'),
        },
        loaded: {
          ...run('The kernel has the rules', 'sh', {
            ...open,
            matches: says('-k identity', '-k privileges', '-k code', 'key=root-commands', 'key=time'),
          }),
          run: ask('-l'),
        },
        written: run('The log is on the encrypted partition', 'findmnt -no SOURCE /var/log/audit', {
          ...open,
          matches: /^\/dev\/mapper\/amslpr-data\[\/audit\]\n?$/,
        }),
      },
    };
  },
});
