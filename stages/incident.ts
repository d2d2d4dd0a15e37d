import { file, run, runBook, unit } from '../src/core/shorthand.ts';
import { defineStage, Type } from '../src/core/stage.ts';

export const incident = defineStage({
  name: 'incident',
  title: 'Isolate a device, collect evidence, ask for help',
  about:
    'Three commands for a bad day: `amslpr-device isolate` cuts a device off from everybody but its caller, for IPv4 and IPv6, until a stated time; `collect-evidence` sends what an incident left, encrypted, to the machine of the caller and writes nothing to the card; `support-bundle` gives somebody else states and versions without any secret. A restart does not end an isolation.',
  guide: {
    56: runBook('incident', 'Steps from the first suspicion to the return to service, with a command for each.'),
    57: runBook('incident', 'A table to fill in: who decides, who acts, who is told.'),
    58: runBook('incident', 'Twice a year, on a device in the emulator.'),
  },
  needs: ['first-boot', 'firewall'],

  options: Type.Object({}, { additionalProperties: false }),

  contribute(_options, { overlay }) {
    const device = '/usr/sbin/amslpr-device';
    return {
      packages: ['nftables', 'age', 'procps'],
      files: [overlay('/etc/systemd/system/amslpr-isolate.service')],
      units: { 'amslpr-isolate.service': 'enabled' },
      checks: {
        starts: unit('An isolation goes on after a restart', 'amslpr-isolate.service', 'enabled', { guide: [56] }),
        early: file('It goes on before the network comes up', '/etc/systemd/system/amslpr-isolate.service', {
          guide: [56],
          matches: [/^Before=network-pre\.target /m, /^WantedBy=sysinit\.target$/m],
          why: 'sysinit.target is part of a normal start and of rescue.',
        }),
        isolates: run('The kernel takes the rules of an isolation', `${device} isolate try`, {
          guide: [56],
          matches: /^the kernel takes the rules$/m,
        }),
        connected: run('The device is not isolated', `${device} isolate status`, {
          guide: [56],
          matches: /^not isolated$/m,
        }),
        support: run('A support bundle can be made, and would hold no secret', `${device} support-bundle try`, {
          guide: [56],
          when: 'data-open',
          matches: /^8 files, \d+ bytes: about\.json, /m,
          lacks: /left out/,
        }),
      },
    };
  },
});
