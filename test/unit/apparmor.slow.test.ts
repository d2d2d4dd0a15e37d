import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';
import { validateConfig } from '../../src/config/validate.ts';
import { parseYaml } from '../../src/config/yaml.ts';
import { hostRunner } from '../../src/host/runner.ts';
import { makePlan } from '../../src/plan/plan.ts';
import { stages } from '../../stages/index.ts';

// The profiles as they are in an image, read by the program that gives them to the kernel; it compiles them and stops.

const root = fileURLToPath(new URL('../..', import.meta.url));

function profiles(mode: string): ReadonlyMap<string, string> {
  const source = `name: amslpr\napparmor:\n  mode: ${mode}\n`;
  const plan = makePlan(validateConfig(parseYaml(source, 'a.yaml'), source, 'a.yaml', stages), stages, root);
  const found = plan.files.filter(({ path }) => path.startsWith('/etc/apparmor.d/'));
  return new Map(found.map(({ path, bytes }) => [path.split('/').at(-1) ?? '', Buffer.from(bytes ?? []).toString()]));
}

/** Names of the profiles that apparmor_parser makes of a text. @throws StepError with its message */
async function parsed(text: string): Promise<string[]> {
  const common = ['--skip-kernel-load', '--skip-cache', '--skip-read-cache'];
  await hostRunner.run(['/usr/sbin/apparmor_parser', ...common], { input: text });
  return (await hostRunner.run(['/usr/sbin/apparmor_parser', '--names'], { input: text })).stdout.trim().split('\n');
}

describe.each(['complain', 'enforce'])('profiles in the mode %s', (mode) => {
  it.each(['amslpr-nginx', 'amslpr-app'])('%s is one', async (name) => {
    const text = profiles(mode).get(name) ?? '';
    expect(text.includes(',complain')).toBe(mode === 'complain');
    expect(await parsed(text)).toEqual([name]);
  });
});

it('refuses a profile with a fault', async () => {
  const text = profiles('enforce').get('amslpr-app') ?? '';
  await expect(parsed(text.replace('network inet stream,', 'network inet stream'))).rejects.toThrow(/exit code/);
  await expect(parsed(text.replace('abstractions/python', 'abstractions/no-such'))).rejects.toThrow(/exit code/);
});
