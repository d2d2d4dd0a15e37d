import { spawnSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { documentedLights, SEEN } from '../helpers/light.ts';

// The table that people print tells what the device's code makes the light do.

const TABLE =
  'import json; from amslpr_device import status as s; print(json.dumps({k: [v, *map(str, s.BLINK.get(k, ()))] for k, v in s.LED.items()}))';

it('the table of lights is that of the code', () => {
  const { stdout, stderr } = spawnSync('python3', ['-B', '-c', TABLE], { cwd: 'device', encoding: 'utf8' });
  expect(stderr).toBe('');
  const code = Object.entries(JSON.parse(stdout) as Record<string, string[]>);
  expect(Object.fromEntries(documentedLights())).toEqual(
    Object.fromEntries(code.map(([state, words]) => [state, words.join(' ')])),
  );
});

it.each([
  ['none [timer] default-on', { delay_on: '100', delay_off: '1900' }, 'timer 100 1900\n'],
  ['none timer [default-on]', {}, 'default-on\n'],
])('what a light does is read: %s', (trigger, times, seen) => {
  const folder = mkdtempSync(join(tmpdir(), 'amslpr-light-'));
  try {
    mkdirSync(join(folder, 'ACT'));
    for (const [name, text] of Object.entries({ trigger, ...times }))
      writeFileSync(join(folder, 'ACT', name), `${text}\n`);
    const { stdout } = spawnSync('sh', ['-c', SEEN.replace('/sys/class/leds', folder)], { encoding: 'utf8' });
    expect(stdout).toBe(seen);
  } finally {
    rmSync(folder, { recursive: true });
  }
});
