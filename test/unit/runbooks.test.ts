import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { parseLock } from '../../src/engine/lock.ts';
import { defaultContributions } from '../../src/report/contributions.ts';
import { stages } from '../../stages/index.ts';
import { codeOf, elsewhere, pages, plain, programs, programsIn, read, shell } from '../helpers/run-books.ts';

// What run-books tell people to type exists: verbs of `amslpr-device` and their flags in the code of the device, verbs of
// the tool, and programs in the packages of the lock or among our own files. That the packages have the programs is seen
// in a built image, by test/image/runbooks.test.ts.

const root = join(import.meta.dirname, '../..');
const device = readdirSync(join(root, 'device/amslpr_device'), { recursive: true, encoding: 'utf8' })
  .filter((name) => name.endsWith('.py'))
  .map((name) => read(`device/amslpr_device/${name}`))
  .join('\n');
const tool = readdirSync(join(root, 'src/cli')).map((name) => name.replace(/\.ts$/, ''));

const lockFile = 'config/amslpr.lock.yaml';
const packages = new Set(parseLock(read(lockFile), lockFile).image?.packages.map(({ name }) => name));
const ours = defaultContributions(stages)
  .flatMap(({ parts }) => parts.flatMap(({ files = [] }) => files.map(({ path }) => path)))
  .flatMap((path) => /^\/usr\/s?bin\/([^/]+)$/.exec(path)?.[1] ?? []);
const known = new Set([
  ...Object.entries(programs).flatMap(([name, all]) => (packages.has(name) ? all : [])),
  ...ours,
  ...Object.keys(elsewhere),
  ...shell,
  ...plain,
]);

const verbs = (): Set<string> => {
  const cli = read('device/amslpr_device/cli.py');
  const named = [...cli.matchAll(/\bverb (?:==|in) (\([^)]*\)|'[a-z-]+')/g)].flatMap(([, list = '']) =>
    [...list.matchAll(/'([a-z-]+)'/g)].map(([, verb = '']) => verb),
  );
  return new Set(named);
};

/** Verbs and flags that a page names, and that are nowhere. */
function unknownVerbs(text: string): string[] {
  const known = verbs();
  return codeOf(text).flatMap((code) => {
    const found: string[] = [];
    for (const [, verb = '', rest = ''] of code.matchAll(/amslpr-device ([a-z-]+)([^'|;&#>]*)/g)) {
      if (!known.has(verb)) found.push(`amslpr-device ${verb}`);
      const [word = ''] = /^ [a-z]{3,}\b(?![.-])/.exec(rest) ?? [];
      if (word !== '' && !new RegExp(`(['" |]|^)${word.trim()}\\b`, 'm').test(device))
        found.push(`amslpr-device ${verb}${word}`);
      for (const [flag] of rest.matchAll(/--[a-z-]+/g))
        if (!device.includes(`'${flag}'`)) found.push(`amslpr-device ${verb} ${flag}`);
    }
    for (const [, verb = ''] of code.matchAll(/(?:npm run image --|amslpr-image) ([a-z-]+)/g))
      if (!tool.includes(verb)) found.push(`amslpr-image ${verb}`);
    return found;
  });
}

/** What a page starts that is neither on the device nor known to be elsewhere. */
const unknownPrograms = (text: string): string[] => [
  ...new Set(codeOf(text).flatMap((code) => programsIn(code).filter((one) => !known.has(one) && !isName(one, code)))),
];

/** Paths, file names and units are no commands; `npm run image` and `amslpr-image` are looked at above. */
const isName = (word: string, code: string): boolean =>
  (word === code.trim() && /[/.]/.test(word)) || ['npm', 'amslpr-image', 'recover'].includes(word);

describe('run-books', () => {
  it('name every jail, and lift a ban in all of them', () => {
    const jails = read('overlays/fail2ban/etc/fail2ban/jail.d/amslpr.local.hbs').matchAll(/^\[([a-z-]+)\]$/gm);
    for (const [, jail] of jails) expect(read('docs/runbooks/review.md')).toMatch(new RegExp(`[ ;]${jail}[ ,]`));
    const all = pages.flatMap((page) => codeOf(read(page)));
    expect(all.filter((code) => code.includes('fail2ban-client'))).toEqual(
      expect.arrayContaining(['sudo fail2ban-client banned', 'sudo fail2ban-client unban ADDRESS']),
    );
    expect(all.filter((code) => code.includes('unbanip'))).toEqual([]);
  });

  it('have files of the firewall that people change accepted, or they are an alert', () => {
    const changes = pages.filter((page) => codeOf(read(page)).some((code) => / ufw (?!status)[a-z]/.test(code)));
    expect(changes).toContain('docs/runbooks/cameras.md');
    for (const page of changes)
      expect([page, read(page)]).toEqual([
        page,
        expect.stringContaining('integrity accept /etc/ufw/user.rules /etc/ufw/user6.rules'),
      ]);
  });
});

describe('commands of run-books', () => {
  it.each(pages)('%s names commands that exist', (page) => {
    expect(unknownVerbs(read(page))).toEqual([]);
  });

  it.each(pages)('%s names programs that are on the device, or says where else', (page) => {
    expect(unknownPrograms(read(page))).toEqual([]);
  });

  // Its programs are those of the host.
  it('README names commands that exist', () => {
    expect(unknownVerbs(read('README.md'))).toEqual([]);
  });

  it('are all there is in the tables', () => {
    const named = new Set(pages.flatMap((page) => codeOf(read(page)).flatMap(programsIn)));
    const listed = [...Object.values(programs).flat(), ...Object.keys(elsewhere), ...shell, ...plain];
    expect(listed.filter((one) => !named.has(one))).toEqual([]);
  });

  it('are found where they are', () => {
    const all = pages.flatMap((page) => codeOf(read(page))).join('\n');
    expect(all.match(/amslpr-device [a-z]/g)?.length).toBeGreaterThan(15);
    expect(read('docs/runbooks/incident.md')).toMatch(/isolate.*collect-evidence.*support-bundle/s);
  });

  it.each([
    ['a verb that is not there', '    sudo amslpr-device vanish', 'amslpr-device vanish'],
    ['a word that is not there', 'run `sudo amslpr-device isolate sideways`', 'amslpr-device isolate sideways'],
    ['a flag that is not there', '    sudo amslpr-device isolate --for-ever', 'amslpr-device isolate --for-ever'],
    ['a verb of the tool', '`npm run image -- vanish`', 'amslpr-image vanish'],
    ['the same by its own name', '`amslpr-image vanish`', 'amslpr-image vanish'],
  ])('are missed: %s', (_what, text, missing) => {
    expect(unknownVerbs(text)).toEqual([missing]);
  });

  it.each([
    ['by sudo', '    sudo tcpdump -i eth0'],
    ['by sudo with options', '    sudo -S -p "" tcpdump -i eth0'],
    ['without sudo', '    tcpdump -i eth0'],
    ['alone', '`tcpdump`'],
    ['with its path', '    /usr/bin/tcpdump -i eth0'],
    ['in a table, behind a pipe', '| `sudo journalctl -n 1 \\| tcpdump` | x |'],
    ['after another command', '    nginx -t && tcpdump -i eth0'],
    ['in brackets', '    (cat file; tcpdump) < input > output'],
    ['by ssh', '    ssh -t ADMIN@DEVICE sudo tcpdump -i eth0'],
    ['by ssh in quotes', "    printf 'x' | ssh ADMIN@DEVICE 'nginx -t; sudo -S tcpdump' > out"],
    ['on a line that goes on', '    nginx -t && \\\n      tcpdump -i eth0'],
  ])('are missed: a program that no package brings, %s', (_what, text) => {
    expect(unknownPrograms(text)).toEqual(['tcpdump']);
  });

  it('are not what a site file, a comment or a path says', () => {
    const text =
      '    network:\n      tcpdump: yes\n        - tcpdump\n    ss # tcpdump\n`data: existing: erase` `/opt/tcpdump`';
    expect(unknownPrograms(text)).toEqual([]);
  });
});
