import { accountLines } from '../accounts.ts';
import type { Tree } from '../tree.ts';
import { count, readParameters, type Scan } from './scan.ts';

const SYSTEM_LIMIT = 1000;
const NOBODY = 65534;

function repeats(values: readonly (string | undefined)[]): string[] {
  const seen = new Set<string | undefined>();
  return values.flatMap((value) => {
    if (seen.has(value)) return [String(value)];
    seen.add(value);
    return [];
  });
}

function pairProblems(tree: Tree, path: string, shadowPath: string): string[] {
  const names = accountLines(tree, path).map(([name]) => name);
  const shadow = accountLines(tree, shadowPath).map(([name]) => name);
  return [
    ...names.filter((name) => !shadow.includes(name)).map((name) => `${shadowPath} lacks ${name} of ${path}`),
    ...shadow.filter((name) => !names.includes(name)).map((name) => `${path} lacks ${name} of ${shadowPath}`),
    ...repeats(names).map((name) => `${path} has ${name} twice`),
    ...repeats(accountLines(tree, path).map(([, , id]) => id)).map((id) => `${path} has the id ${id} twice`),
  ];
}

/** passwd, shadow, group and gshadow fit together; only root has uid 0; no person has an account yet. */
export const passwdConsistency: Scan = (tree, parameters) => {
  const allowed = readParameters(parameters, ['allow']).strings('allow');
  const users = accountLines(tree, '/etc/passwd');
  const groups = accountLines(tree, '/etc/group');
  const gids = new Set(groups.map(([, , gid]) => gid));
  const problems = [
    ...pairProblems(tree, '/etc/passwd', '/etc/shadow'),
    ...pairProblems(tree, '/etc/group', '/etc/gshadow'),
  ];
  if (!users.some(([name, , uid]) => name === 'root' && uid === '0')) problems.push('/etc/passwd lacks root');
  for (const fields of users) {
    const [name = '', password, uid = '', gid = ''] = fields;
    if (fields.length !== 7) problems.push(`/etc/passwd: ${name} has ${fields.length} fields, not 7`);
    if (password !== 'x') problems.push(`/etc/passwd: ${name} has its password field in passwd itself`);
    if (uid === '0' && name !== 'root') problems.push(`/etc/passwd: ${name} has uid 0`);
    if (!gids.has(gid)) problems.push(`/etc/passwd: ${name} is in group ${gid}, which /etc/group lacks`);
    if (Number(uid) >= SYSTEM_LIMIT && Number(uid) !== NOBODY && !allowed.includes(name)) {
      problems.push(`/etc/passwd: ${name} (uid ${uid}) is an account for a person`);
    }
  }
  const known = new Set(users.map(([name]) => name));
  for (const [group, , , members = ''] of groups) {
    for (const member of members.split(',').filter((name) => name !== '' && !known.has(name))) {
      problems.push(`/etc/group: ${group} has the member ${member}, who has no account`);
    }
  }
  return { looked: `${count(users.length, 'account')}, ${count(groups.length, 'group')}`, problems };
};

/** No account has a password, empty ones included: every card would have the same. */
export const defaultPasswords: Scan = (tree, parameters) => {
  readParameters(parameters, []);
  const lines = accountLines(tree, '/etc/shadow');
  const problems = lines.flatMap(([name, hash = '']) => {
    if (hash === '') return [`/etc/shadow: ${name} has an empty password`];
    return /^[!*]/.test(hash) ? [] : [`/etc/shadow: ${name} has a password`];
  });
  for (const [name, hash = ''] of accountLines(tree, '/etc/gshadow')) {
    if (hash !== '' && !/^[!*]/.test(hash)) problems.push(`/etc/gshadow: group ${name} has a password`);
  }
  if (lines.length === 0) problems.push('/etc/shadow is not there or empty');
  if (tree.get('/boot/firmware/userconf.txt') ?? tree.get('/boot/firmware/userconf')) {
    problems.push('/boot/firmware/userconf.txt would set a password at first boot');
  }
  return { looked: `${count(lines.length, 'account')} in /etc/shadow`, problems };
};
