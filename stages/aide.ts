import { file, installed, run, unit } from '../src/core/shorthand.ts';
import { defineStage, Type } from '../src/core/stage.ts';

const config = '/etc/aide/aide.conf';
const hook = '/etc/apt/apt.conf.d/91amslpr-aide';
const units = '/etc/systemd/system';

export const aide = defineStage({
  name: 'aide',
  title: 'Keep a second record of the files, by AIDE',
  about:
    'What `integrity` finds is found by our own code. AIDE is a tool that auditors know: it has a record of its own, made when the first boot is over and after each installation of packages, and compares with it each week and with the monthly self-audit. What differs is in the journal (`journalctl -u aidecheck`), and is no alert: AIDE does not know which changes were meant.',
  guide: {},
  needs: ['integrity'],

  options: Type.Object({}, { additionalProperties: false }),

  contribute(_options, { overlay }) {
    return {
      packages: ['aide'],
      files: [
        overlay(config, { mode: '0600' }),
        overlay(hook),
        overlay('/usr/lib/amslpr/aide-record', { mode: '0755' }),
        overlay(`${units}/amslpr-aide.service`),
        overlay(`${units}/amslpr-aide.timer`),
        overlay(`${units}/aidecheck.service`),
        overlay(`${units}/aidecheck.timer`),
      ],
      units: { 'amslpr-aide.timer': 'enabled', 'aidecheck.service': 'enabled', 'aidecheck.timer': 'enabled' },
      checks: {
        installed: installed('AIDE is there', 'aide', { guide: [62] }),
        weekly: unit('AIDE compares each week', 'aidecheck.timer', 'enabled', { guide: [62] }),
        renewed: file('Installing packages renews its record', hook, {
          guide: [62],
          matches: /^DPkg::Post-Invoke \{ "systemctl --no-block restart amslpr-aide\.service/m,
        }),
        valid: run('Its configuration is valid', `aide --config ${config} --config-check`, { guide: [62], exit: 0 }),
        record: {
          ...run('It has a record of the files', 'sh', { guide: [62], matches: /^made$/m }),
          // Just after the first boot it is on its way; this waits for it.
          run: ['sh', '-c', 'systemctl start amslpr-aide.service && test -s /var/lib/aide/aide.db && echo made'],
        },
      },
    };
  },
});
