import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { beforeAll, expect, it } from 'vitest';
import { packageFile } from '../../src/engine/download.ts';
import { parseLock } from '../../src/engine/lock.ts';
import { openCache } from '../../src/host/cache.ts';
import { hostRunner } from '../../src/host/runner.ts';
import { builtImage } from './built-image.ts';

const lockFile = fileURLToPath(new URL('../../config/amslpr.lock.yaml', import.meta.url));

/** A native copy gives another answer to these than the program for arm64. */
const ASKS_FOR_CPU =
  /\b(?:MACHTYPE|HOSTTYPE)\b|\bPOSIX::uname\b|\buse\s+POSIX\b[^;]*\buname\b|\b(?:use|require)\s+Config\b|\$Config(?:::Config)?\s*\{|-MConfig\b|-V:\w/;

/** Scripts of packages that ask for the CPU and may: `package script`, and why it does not matter. */
const ALLOWED: Readonly<Record<string, string>> = {};

const scripts = new Map<string, string>();

beforeAll(async () => {
  await builtImage(); // Its packages are in the cache then.
  const cache = await openCache();
  const lock = parseLock(readFileSync(lockFile, 'utf8'), lockFile);
  for (const one of lock.image.packages) {
    const { stdout } = await hostRunner.run([
      'sh',
      '-euc',
      'dpkg-deb --ctrl-tarfile "$1" | tar -x --to-command=\'echo "@@$TAR_FILENAME"; cat\' 2>/dev/null',
      'sh',
      packageFile(cache, one),
    ]);
    for (const part of stdout.split(/^@@\.\//m)) {
      const [name = '', ...lines] = part.split('\n');
      if (/^(?:preinst|postinst|prerm|postrm|config)$/.test(name)) scripts.set(`${one.name} ${name}`, lines.join('\n'));
    }
  }
});

it.each([
  'case "$MACHTYPE" in x86*) ;; esac',
  'echo $HOSTTYPE',
  'perl -MPOSIX -e "print((POSIX::uname)[4])"',
  'use POSIX qw(uname);',
  'perl -MConfig -e "print $Config{archname}"',
  'use Config;',
  'perl -V:archname',
])('a script would be found: %s', (script) => {
  expect(script).toMatch(ASKS_FOR_CPU);
});

it('no maintainer script of the package set asks bash or perl for the CPU, since natively run ones would be told the wrong one', () => {
  expect(scripts.size).toBeGreaterThan(100);
  const found = [...scripts].filter(([, text]) => ASKS_FOR_CPU.test(text)).map(([name]) => name);
  expect(found.filter((name) => ALLOWED[name] === undefined)).toEqual([]);
});
