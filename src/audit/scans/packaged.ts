import { diversions, md5sums, packages } from '../dpkg.ts';
import { anyPattern } from '../paths.ts';
import { count, readParameters, type Scan } from './scan.ts';

/** What a build may leave out of packages: nothing runs from there. */
const OPTIONAL = [
  '/usr/share/doc/**',
  '/usr/share/man/**',
  '/usr/share/info/**',
  '/usr/share/locale/**',
  '/usr/share/lintian/**',
  '/usr/share/bug/**',
  '/usr/share/groff/**',
  '/usr/share/linda/**',
];

/** Every file that a package brought is still that file. */
export const packageFiles: Scan = (tree, parameters) => {
  const given = readParameters(parameters, ['allow', 'missing']);
  const allowed = anyPattern(given.strings('allow'));
  const optional = anyPattern(given.strings('missing', OPTIONAL));
  const place = diversions(tree);
  const problems: string[] = [];
  let [good, left, changed] = [0, 0, 0];
  const list = md5sums(tree);
  for (const file of list) {
    const path = place(file.path, file.package);
    const found = tree.md5(path);
    if (found === file.md5) good++;
    else if (found === undefined && optional(path)) left++;
    else if (allowed(path)) changed++;
    else if (found === undefined) problems.push(`${path} of ${file.package} is missing`);
    else problems.push(`${path} is not the file of ${file.package}`);
  }
  if (list.length === 0) problems.push('no package has recorded MD5 sums');
  return {
    looked: `${good} of ${count(list.length, 'packaged file')} as packaged, ${left} left out, ${changed} allowed to differ`,
    problems,
  };
};

/** No conffile was replaced: unattended-upgrades holds such a package back for good. */
export const conffiles: Scan = (tree, parameters) => {
  const allowed = anyPattern(readParameters(parameters, ['allow']).strings('allow'));
  const place = diversions(tree);
  const problems: string[] = [];
  let looked = 0;
  const list = packages(tree);
  if (list === undefined) problems.push('/var/lib/dpkg/status is not there');
  for (const one of list ?? []) {
    if (!one.installed) continue;
    for (const conffile of one.conffiles) {
      if (conffile.obsolete || conffile.md5 === 'newconffile') continue;
      looked++;
      const path = place(conffile.path, one.name);
      const found = tree.md5(path);
      if (found === conffile.md5 || allowed(path)) continue;
      problems.push(`${path} of ${one.name} is ${found === undefined ? 'missing' : 'changed'}`);
    }
  }
  return { looked: count(looked, 'conffile'), problems };
};
