import { built, run, unit } from '../src/core/shorthand.ts';
import { defineStage, Type } from '../src/core/stage.ts';

export const centralLogs = defineStage({
  name: 'central-logs',
  title: 'Send the log to a central server, when the site has one',
  about:
    'New entries of the journal go each minute as syslog over TLS (RFC 5425) to the server that `logs` of the site file or `amslpr-device logs set` names. Its name is checked, and with an authority of your own no other is believed. Without such a server nothing leaves the device. A server that is away costs no room: the journal is the queue.',
  guide: {
    53: built(
      'Syslog over TLS to the server of the operator, off until the site names one: logs hold plates and addresses, which nobody else is to get unasked.',
    ),
  },
  needs: ['monitoring', 'journal'],

  options: Type.Object({}, { additionalProperties: false }),

  contribute(_options, { overlay }) {
    return {
      packages: ['python3', 'ca-certificates'],
      files: [overlay('/etc/systemd/system/amslpr-logs.service'), overlay('/etc/systemd/system/amslpr-logs.timer')],
      units: { 'amslpr-logs.timer': 'disabled' },
      checks: {
        off: unit('No log leaves the device by itself', 'amslpr-logs.timer', 'disabled', { guide: [53] }),
        works: run('The sender runs in its sandbox', 'systemctl start amslpr-logs.service', {
          guide: [53],
          when: 'data-open',
          exit: 0,
        }),
        settings: run('Logs go nowhere, or by TLS', '/usr/sbin/amslpr-device logs show', {
          guide: [53],
          when: 'data-open',
          matches: /^(no log leaves this device|Server: \S+ by TLS$)/m,
        }),
      },
    };
  },
});
