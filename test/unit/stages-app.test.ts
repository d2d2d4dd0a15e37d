import { mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { Value } from 'typebox/value';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { Contribution } from '../../src/core/contribution.ts';
import { UserError } from '../../src/core/errors.ts';
import type { AnyStage, StageContext } from '../../src/core/stage.ts';
import { render } from '../../src/plan/resolve.ts';
import { sourceFiles } from '../../src/plan/source-files.ts';
import { application } from '../../stages/application.ts';
import { backup } from '../../stages/backup.ts';
import { folders } from '../../stages/folders.ts';
import { nginx } from '../../stages/nginx.ts';
import { tls } from '../../stages/tls.ts';

const root = join(import.meta.dirname, '../..');

const context: StageContext = {
  target: { base: 'debian', suite: 'trixie', architecture: 'arm64' },
  overlay: (path, { mode = '0644', owner = 'root:root', data } = {}) => ({
    path,
    mode,
    owner,
    content: { kind: 'overlay', ...(data === undefined ? {} : { data }) },
  }),
  sourceFiles: (folder, include, exclude) => sourceFiles(root, folder, include, exclude),
};

/** What a stage contributes with these options and its defaults. */
function contribute(stage: AnyStage, options: Record<string, unknown> = {}): Contribution {
  const complete = Value.Default(stage.options, structuredClone(options)) as Record<string, unknown>;
  expect(Value.Check(stage.options, complete)).toBe(true);
  return stage.contribute(complete, context);
}

function accepts(stage: AnyStage, options: Record<string, unknown>): boolean {
  return Value.Check(stage.options, Value.Default(stage.options, structuredClone(options)));
}

/** The text that a file of the stage has in the image. */
function textOf(stage: AnyStage, contribution: Contribution, path: string): string {
  const file = contribution.files?.find((one) => one.path === path);
  if (file === undefined) throw new Error(`${stage.name} has no file ${path}`);
  if (file.content.kind === 'text') return file.content.text;
  if (file.content.kind !== 'overlay') throw new Error(`${path} is no text`);
  const source = join(root, 'overlays', stage.name, path);
  return file.content.data === undefined
    ? readFileSync(source, 'utf8')
    : render(readFileSync(`${source}.hbs`, 'utf8'), file.content.data);
}

const paths = ({ files = [] }: Contribution): string[] => files.map(({ path }) => path);

describe('application', () => {
  let source: string;
  const put = (path: string, text = 'x') => {
    mkdirSync(dirname(join(source, path)), { recursive: true });
    writeFileSync(join(source, path), text);
  };

  beforeEach(() => {
    source = mkdtempSync(join(tmpdir(), 'application-'));
    put('src/web/app.py');
    put('config.json', '{}');
  });
  afterEach(() => rmSync(source, { recursive: true }));

  it('installs the stand-in by default, read-only, with its data elsewhere', () => {
    const contribution = contribute(application);
    const release = dirname(paths(contribution).find((path) => path.endsWith('/RELEASE')) ?? '');
    expect(release).toMatch(/^\/opt\/amslpr\/releases\/[0-9a-f]{16}$/);
    const code = (contribution.files ?? []).filter(({ path }) => path.startsWith(`${release}/`));
    expect(code.length).toBeGreaterThan(15);
    expect(code.every(({ owner }) => owner === 'root:root')).toBe(true);
    expect(code.filter(({ content }) => content.kind === 'bytes').every(({ mode }) => mode === '0644')).toBe(true);
    const links = code.flatMap(({ path, content }) =>
      content.kind === 'symlink' ? [`${path.slice(release.length + 1)} -> ${content.target}`] : [],
    );
    expect(links).toEqual([
      'config.json -> /etc/amslpr/config.json',
      'data -> /var/lib/amslpr/data',
      'config -> /var/lib/amslpr/config',
      'backups -> /var/lib/amslpr/backups',
    ]);
  });

  it('makes every folder before what is in it', () => {
    const seen = new Set<string>(['/opt/amslpr/releases']);
    for (const { path, content } of contribute(application).files ?? []) {
      if (!path.startsWith('/opt/amslpr/releases/')) continue;
      expect(seen).toContain(dirname(path));
      if (content.kind === 'directory') seen.add(path);
    }
  });

  it('takes from a folder what is on its list, and no secret, test or session', () => {
    const unwanted = [
      'config/crypto.key',
      'config/users.json',
      'config/camera_config.json',
      'instance/flask_session/1',
      'flask_session/1',
      'tests/test_all.py',
      'test_onvif8.py',
      'src/test_login.py',
      'src/__pycache__/app.pyc',
      'src/.env',
      'cookies.txt',
      'install.sh',
      'venv/bin/python',
    ];
    for (const path of [...unwanted, 'models/plates.hef', 'config/ocr_config.json']) put(path);
    const taken = (contribute(application, { source }).files ?? []).flatMap(({ content, path }) =>
      content.kind === 'bytes' ? [path.replace(/^.*\/[0-9a-f]{16}\//, '')] : [],
    );
    expect(taken).toEqual([
      '/etc/amslpr/config.json',
      'defaults/ocr_config.json',
      'models/plates.hef',
      'src/web/app.py',
    ]);
  });

  it('names a release by its content', () => {
    const release = (): string | undefined =>
      paths(contribute(application, { source })).find((path) => path.endsWith('/RELEASE'));
    const before = release();
    expect(release()).toBe(before);
    put('src/web/app.py', 'y');
    expect(release()).not.toBe(before);
  });

  it('refuses a folder that is not AMSLPR, a missing one, and links', () => {
    rmSync(join(source, 'config.json'));
    expect(() => contribute(application, { source })).toThrow(/does not look like AMSLPR/);
    expect(() => contribute(application, { source: '/nowhere/at/all' })).toThrow(UserError);
    put('config.json');
    symlinkSync('/etc/shadow', join(source, 'src/link'));
    expect(() => contribute(application, { source })).toThrow(/neither a file nor a folder/);
  });

  it('locks the unit in as far as its options allow', () => {
    const unit = (options: Record<string, unknown>) =>
      textOf(application, contribute(application, options), '/etc/systemd/system/amslpr.service').split('\n');
    expect(unit({})).toEqual(expect.arrayContaining(['PrivateNetwork=yes', 'PrivateDevices=yes', 'PrivateUsers=yes']));
    expect(unit({ camera: true })).not.toContain('PrivateNetwork=yes');
    expect(unit({ camera: true })).toContain('PrivateDevices=yes');
    const asked = (options: Record<string, unknown>) =>
      JSON.stringify(contribute(application, options).checks?.['sandbox']);
    expect(asked({})).toContain('"--threshold=10"');
    for (const one of ['camera', 'gpio', 'serial']) expect(asked({ [one]: true })).toContain('"--threshold=20"');
    expect(unit({ gpio: true })).toContain('DeviceAllow=char-gpiochip rw');
    expect(unit({ gpio: true })).not.toContain('DeviceAllow=char-ttyUSB rw');
    expect(unit({ serial: true })).toEqual(
      expect.arrayContaining(['SupplementaryGroups=dialout', 'PrivateNetwork=yes']),
    );
  });

  it('brings the packages that AMSLPR imports, or those that are named', () => {
    expect(contribute(application).packages).toHaveLength(3);
    expect(contribute(application, { source }).packages).toContain('python3-msgspec');
    expect(contribute(application, { source, packages: ['python3-yaml'] }).packages).not.toContain('python3-msgspec');
  });

  it.each([{ source: 'relative' }, { source: '/a\nb' }, { packages: ['a b'] }, { packages: ['-o'] }, { unknown: 1 }])(
    'refuses %j',
    (options) => expect(accepts(application, options)).toBe(false),
  );
});

describe('nginx', () => {
  const site = '/etc/nginx/sites-available/amslpr';

  it('closes the default site without touching a conffile', () => {
    const contribution = contribute(nginx);
    const enabled = (contribution.files ?? []).filter(({ path }) => path.startsWith('/etc/nginx/sites-enabled/'));
    expect(enabled.map(({ content }) => content)).toEqual([
      { kind: 'symlink', target: '../sites-available/amslpr' },
      { kind: 'symlink', target: '../sites-available/amslpr-closed' },
    ]);
    expect(paths(contribution)).not.toContain('/etc/nginx/nginx.conf');
    expect(paths(contribution)).not.toContain('/etc/nginx/sites-available/default');
  });

  it('has the limits of the options', () => {
    const contribution = contribute(nginx, { requestsPerMinute: 300, burst: 77, loginsPerMinute: 9, maxBodyMb: 2 });
    expect(textOf(nginx, contribution, '/etc/nginx/conf.d/amslpr.conf')).toContain('rate=300r/m');
    expect(textOf(nginx, contribution, '/etc/nginx/conf.d/amslpr.conf')).toContain('rate=9r/m');
    expect(textOf(nginx, contribution, site)).toContain('burst=77');
    expect(textOf(nginx, contribution, site)).toContain('client_max_body_size 2m');
  });

  it('adds headers at the level of servers only, since one in a location would drop the others', () => {
    const contribution = contribute(nginx);
    const holders = paths(contribution).filter(
      (path) =>
        path.startsWith('/etc/nginx/') &&
        !path.includes('enabled') &&
        /^\s*add_header/m.test(textOf(nginx, contribution, path)),
    );
    expect(holders.sort()).toEqual(['/etc/nginx/snippets/amslpr-headers.conf', '/etc/nginx/snippets/amslpr-tls.conf']);
    for (const path of ['/etc/nginx/sites-available/amslpr', '/etc/nginx/sites-available/amslpr-closed']) {
      const servers = textOf(nginx, contribution, path)
        .split(/^server \{$/m)
        .slice(1);
      expect(servers).toHaveLength(2);
      for (const server of servers) {
        expect(server).toMatch(/^ {4}include snippets\/amslpr-headers\.conf;$/m);
        expect(/^ {4}include snippets\/amslpr-tls\.conf;$/m.test(server)).toBe(server.includes(' ssl'));
      }
    }
  });

  it('hides each header that it adds when the application sends it', () => {
    const files = ['headers', 'tls'].map((name) => `/etc/nginx/snippets/amslpr-${name}.conf` as const);
    const text = files.map((path) => textOf(nginx, contribute(nginx), path)).join('\n');
    const names = (pattern: RegExp) => [...text.matchAll(pattern)].map((match) => match[1]).sort();
    const added = names(/^add_header (\S+) /gm);
    expect(names(/^proxy_hide_header (\S+);/gm)).toEqual([...added, 'X-Powered-By'].sort());
    expect(new Set(added).size).toBe(added.length);
  });

  it('staples and preloads only when told to', () => {
    const tlsText = (options: Record<string, unknown>) =>
      textOf(nginx, contribute(nginx, options), '/etc/nginx/snippets/amslpr-tls.conf');
    expect(tlsText({})).not.toContain('stapling');
    expect(tlsText({ staplingResolver: '192.0.2.53' })).toContain('resolver 192.0.2.53 valid');
    const headers = (options: Record<string, unknown>) =>
      textOf(nginx, contribute(nginx, options), '/etc/nginx/snippets/amslpr-tls.conf');
    expect(headers({})).toContain('"max-age=31536000; includeSubDomains"');
    expect(headers({ hstsPreload: true })).toContain('"max-age=63072000; includeSubDomains; preload"');
  });

  it('allows scripts as far as the option says', () => {
    const policy = (scripts: string) =>
      textOf(nginx, contribute(nginx, { scripts }), '/etc/nginx/snippets/amslpr-headers.conf');
    expect(policy('self')).toContain("script-src 'self';");
    expect(policy('inline')).toContain("script-src 'self' 'unsafe-inline';");
    expect(policy('cdn')).toContain('https://cdn.jsdelivr.net');
  });

  it.each([
    { staplingResolver: '192.0.2.256' },
    { staplingResolver: '192.0.2.1; return 200' },
    { staplingResolver: 'dns.example' },
    { scripts: 'none' },
    { burst: 0 },
    { maxBodyMb: 1.5 },
  ])('refuses %j', (options) => expect(accepts(nginx, options)).toBe(false));
});

describe('tls, folders and backup', () => {
  it('keeps secrets, data, logs and backups on the data partition', () => {
    const binds = [folders, tls, nginx, backup].flatMap((stage) => contribute(stage).dataBinds ?? []);
    expect(binds.map(({ path, mode, owner }) => `${path} ${mode} ${owner}`)).toEqual([
      '/var/lib/amslpr 0750 amslpr:amslpr',
      '/var/log/amslpr 02750 amslpr:adm',
      '/etc/amslpr/secrets 0700 root:root',
      '/etc/amslpr/ssl 0700 root:root',
      '/var/log/nginx 0755 root:adm',
      '/var/backups/amslpr 0751 root:amslpr-admins',
    ]);
  });

  it('writes the options that the device reads', () => {
    expect(JSON.parse(textOf(tls, contribute(tls, { days: 90 }), '/usr/share/amslpr/tls.json'))).toEqual({ days: 90 });
    const made = contribute(backup, { retention: 3, images: true, time: '23:15' });
    expect(JSON.parse(textOf(backup, made, '/usr/share/amslpr/backup.json'))).toEqual({ retention: 3, images: true });
    expect(textOf(backup, made, '/etc/systemd/system/amslpr-backup.timer')).toContain('OnCalendar=*-*-* 23:15:00');
  });

  it.each([
    [tls, { days: 399 }],
    [tls, { days: 0 }],
    [backup, { time: '24:00' }],
    [backup, { time: '2:00' }],
    [backup, { time: '02:00\nOnBootSec=1' }],
    [backup, { retention: 0 }],
    [folders, { anything: true }],
  ] as const)('refuses what it cannot use: %#', (stage, options) => expect(accepts(stage, options)).toBe(false));
});
