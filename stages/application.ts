import type { AbsPath } from '../src/core/contribution.ts';
import { built, folder, runBook, symlink, text } from '../src/core/shorthand.ts';
import { defineStage, Type } from '../src/core/stage.ts';
import { HOST_PATH, textOf } from '../src/core/values.ts';
import { applicationChecks } from './application/checks.ts';
import { broughtSource, releaseFiles, releaseText } from './application/release.ts';

/** What is taken from a source. Everything else stays out: tests, sessions, keys and accounts that lie there. */
const allowed = ['src', 'config.json', 'config/ocr_config.json', 'models', 'static', 'templates'];
const refused =
  /^(\..*|__pycache__|tests?|test_.*|.*\.pyc|.*\.exe|crypto\.key|users\.json|camera_config\.json|cookies\.txt|instance|flask_session|venv.*)$/;

const standInFolder = 'standin/app';
const standIn = ['python3-flask', 'python3-cryptography', 'gunicorn'];
/** What AMSLPR itself imports, as far as Debian has it; the rest is optional there. */
const amslpr = [
  'python3-flask-session python3-msgspec python3-flaskext.wtf python3-nest-asyncio python3-redis python3-asgiref',
  'python3-loguru python3-yaml python3-xlsxwriter python3-opencv python3-numpy python3-requests tesseract-ocr ffmpeg',
].flatMap((line) => line.split(' '));

export const application = defineStage({
  name: 'application',
  title: 'Install the application',
  about:
    'Takes the application from a folder, an archive or a git checkout, or the project’s own stand-in, and runs it unchanged as `amslpr` behind a wrapper that closes open pages, default passwords and error traces. Its code is read-only, its data lives on the encrypted partition, and the unit is locked in. Use `source` for your copy of AMSLPR.',
  guide: {
    15: built('The wrapper refuses passwords under 12 characters, for new ones and at the log-in.'),
    28: built(
      'The database is on the LUKS partition. SQLCipher would need a Python binding that Debian does not have, and changes in code that is not ours.',
    ),
    37: built(
      'The Fernet key is made on the device, 600, on the encrypted partition. The application does not use it for camera passwords: LUKS is what protects them.',
    ),
    59: runBook(
      'application-update',
      'One command installs a release, tries it, and goes back by itself, database too, when it does not work; another goes back later.',
    ),
  },
  needs: ['folders'],

  options: Type.Object(
    {
      source: Type.Optional(
        Type.String({
          pattern: HOST_PATH,
          description:
            'Absolute path of your copy of AMSLPR (src/, config.json …): a folder, an archive (.tar, .tar.gz, .tar.xz, .tar.zst, .zip), or a git checkout, of which the files that git knows are taken as they lie there. No password may be in its config.json, which goes into every image. Default: the stand-in.',
        }),
      ),
      version: Type.Optional(
        textOf('version', {
          description:
            'Version of the application. Default: what git says of a checkout, else the first line of a file VERSION beside src/, else what the name of the archive or of its one folder ends with, else `unknown`.',
        }),
      ),
      packages: Type.Optional(
        Type.Array(textOf('packageName'), {
          description: 'Debian packages that the application imports. Default with `source`: those of AMSLPR.',
        }),
      ),
      camera: Type.Boolean({ default: false, description: 'Cameras, payment or mail over the network.' }),
      gpio: Type.Boolean({ default: false, description: 'A barrier or reader on the GPIO pins.' }),
      serial: Type.Boolean({ default: false, description: 'A payment terminal on a serial or USB port.' }),
    },
    { additionalProperties: false },
  ),

  contribute({ source, version, packages = source ? amslpr : [], camera, gpio, serial }, { overlay, sourceFiles }) {
    const found = sourceFiles(source ?? standInFolder, allowed, refused);
    const { files, digest } = found;
    const release: AbsPath = `/opt/amslpr/releases/${digest.slice(0, 16)}`;
    const brought = broughtSource(found, source, version);
    return {
      packages: [...standIn, ...packages],
      groups: gpio ? [{ name: 'amslpr-gpio', gid: 961 }] : [],
      files: [
        ...releaseFiles(source ?? standInFolder, release, files),
        text(`${release}/RELEASE`, releaseText(brought)),
        symlink('/opt/amslpr/current', release.slice('/opt/amslpr/'.length)),
        overlay('/usr/lib/amslpr/amslpr_wsgi.py'),
        overlay('/usr/lib/amslpr/amslpr_accounts.py'),
        overlay('/usr/lib/amslpr/gunicorn.conf.py'),
        overlay('/usr/lib/amslpr/try_login.py'),
        overlay('/usr/lib/tmpfiles.d/amslpr.conf'),
        overlay('/etc/systemd/system/amslpr-app-recover.service'),
        overlay('/etc/systemd/system/amslpr.service', { data: { devices: gpio || serial, camera, gpio, serial } }),
        ...(gpio ? [overlay('/etc/udev/rules.d/90-amslpr-gpio.rules')] : []),
        ...(serial ? [overlay('/etc/udev/rules.d/60-amslpr-usb-serial.rules')] : []),
        // Debian has no pytesseract, and AMSLPR makes no database without it.
        ...(source ? [folder('/usr/lib/amslpr/shims'), overlay('/usr/lib/amslpr/shims/pytesseract.py')] : []),
      ],
      units: { 'amslpr.service': 'enabled', 'amslpr-app-recover.service': 'enabled' },
      sources: [brought],
      checks: applicationChecks(release, { locked: !camera && !gpio && !serial }),
    };
  },
});
