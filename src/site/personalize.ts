import { createHash, randomBytes } from 'node:crypto';
import { access, chmod, mkdir, open, rename, rm, stat } from 'node:fs/promises';
import { basename, dirname } from 'node:path';
import type { ByteSource } from '../audit/bytes.ts';
import { UserError } from '../core/errors.ts';
import { hostRunner } from '../host/runner.ts';
import { checkWritable } from '../host/writable.ts';
import { type BootPartition, findBootPartition, readBootFiles, writeBootFile } from './boot-partition.ts';
import { SIGNATURE_FILE, signSite } from './sign.ts';
import { accessFiles, writeAccess } from './ssh-config.ts';
import { type ValidSite, validateSite } from './validate.ts';

export interface Personalized {
  readonly out: string;
  /** The file, readable by its owner alone, that keeps the enrolment token for the operator. */
  readonly enrolment: string;
  /** The configuration that administrators reach the device with until it is enrolled. */
  readonly sshConfig: string;
  readonly site: ValidSite;
  /** What stamping took, without the copy of the image: judging the site file, writing it and reading it back. */
  readonly stampSeconds: number;
}

export interface PersonalizeOptions {
  readonly signal?: AbortSignal;
  /** Key that signs the stamped file, for images that were built with `site.signers`. */
  readonly sign?: string;
}

/** Preallocated by every image that takes a site file: without them the device could not report. */
const MARKERS = ['/STATUS.TXT', '/report.json', '/bundle.0', '/bundle.1'];
const SITE_FILE = '/site.yaml';
const SITE_NAMES = /^\/site\.ya?ml(\.txt)?$/i;

/**
 * Stamps a site onto a copy of an image (.img or .img.zst). `out` appears complete or not at all, and with it
 * `<out>.enrol.json` (0600) with the one-time token by which the device's first report is recognised, and
 * `<out>.ssh_config` with what it names.
 * @throws UserError for a bad site file, an image that takes none, or an `out` that is there already
 */
export async function personalize(
  image: string,
  siteFile: string,
  out: string,
  options: PersonalizeOptions = {},
): Promise<Personalized> {
  const enrolment = `${out}.enrol.json`;
  await refuseExisting([out, enrolment]);
  await checkWritable(dirname(out));
  if (options.sign !== undefined) await signSite(options.sign, '');
  let start = performance.now();
  const given = await validateSite(siteFile);
  let stampMs = performance.now() - start;
  const access = accessFiles(out, given.site);
  await refuseExisting(access);
  const partial = `${out}.partial-${process.pid}`;
  const partialEnrolment = `${enrolment}.partial-${process.pid}`;
  try {
    await copyImage(image, partial, options);
    start = performance.now();
    const { site, token } = await personalizeInPlace(partial, given, image, options.sign);
    stampMs += performance.now() - start;
    const record = { name: site.site.name, hostname: site.site.hostname, image: basename(image), digest: site.digest };
    await writePrivate(partialEnrolment, `${JSON.stringify({ ...record, token }, undefined, 2)}\n`);
    options.signal?.throwIfAborted();
    try {
      const sshConfig = await writeAccess(out, site.site);
      await rename(partialEnrolment, enrolment);
      await rename(partial, out);
      return { out, enrolment, sshConfig, site, stampSeconds: stampMs / 1000 };
    } catch (cause) {
      for (const path of [...access, enrolment]) await rm(path, { force: true });
      throw cause;
    }
  } finally {
    await rm(partial, { force: true });
    await rm(partialEnrolment, { force: true });
  }
}

export interface Stamped {
  readonly site: ValidSite;
  readonly token: string;
}

/**
 * Writes a validated site, with a fresh enrolment token, onto the boot partition of an image that the caller owns.
 * `shown` is the name in messages. A failure may leave a site file behind: the caller throws the copy away.
 */
export async function personalizeInPlace(
  target: string,
  given: ValidSite,
  shown = target,
  sign?: string,
): Promise<Stamped> {
  const boot = await findBootPartition(target).catch((cause: unknown) => {
    if (!(cause instanceof UserError)) throw cause;
    throw new UserError(cause.message.replaceAll(target, shown), { cause });
  });
  return stampBoot(boot, given, shown, { sign });
}

/** The same for a boot partition whose place is known; `bytes` reads it back from the medium, `sign` is a key. */
export async function stampBoot(
  boot: BootPartition,
  given: ValidSite,
  shown: string,
  { bytes, sign }: { readonly bytes?: ByteSource; readonly sign?: string | undefined } = {},
): Promise<Stamped> {
  refuseNames((await readBootFiles(boot, () => false, bytes)).names, shown);
  const token = randomBytes(32).toString('base64url');
  // What was found right stays so with one more line of a known form; a test has the validator say so.
  const canonical = withToken(given.canonical, token);
  if (sign !== undefined) await writeBootFile(boot, SIGNATURE_FILE, await signSite(sign, canonical), bytes);
  await writeBootFile(boot, SITE_FILE, canonical, bytes);
  return { site: { ...given, canonical, digest: createHash('sha256').update(canonical).digest('hex') }, token };
}

/** @throws UserError when a boot partition with these files (paths with a leading slash) cannot take a site file. */
export function refuseNames(names: readonly string[], shown: string): void {
  const missing = MARKERS.filter((name) => !names.includes(name));
  if (missing.length > 0) {
    throw new UserError({
      message: `${shown} takes no site file: its boot partition lacks ${missing.map((name) => name.slice(1)).join(', ')}`,
      hint: 'Give an image that `build` made; an older one has to be built again.',
    });
  }
  const present = names.find((name) => SITE_NAMES.test(name));
  if (present !== undefined) {
    throw new UserError({
      message: `${shown} carries a site already (${present.slice(1)})`,
      hint: 'Stamp the image as it was built, not a copy that was stamped before.',
    });
  }
}

/** The token of a template that was stamped by hand is no secret any more: it is replaced. */
function withToken(canonical: string, token: string): string {
  const lines = canonical
    .trimEnd()
    .split('\n')
    .filter((line) => !line.startsWith('enrolment-token:') && line !== '...');
  return `${[...lines, `enrolment-token: "${token}"`, '...'].join('\n')}\n`;
}

async function refuseExisting(paths: readonly string[]): Promise<void> {
  for (const path of paths) {
    const exists = await access(path).then(
      () => true,
      () => false,
    );
    if (exists) throw new UserError({ message: `${path} is there already`, hint: 'Remove it, or give another name.' });
  }
}

/** The copy gets a site's secrets: nobody but its owner may ever read it, also while it is being written. */
async function copyImage(image: string, out: string, { signal }: PersonalizeOptions): Promise<void> {
  const found = await stat(image).catch(() => undefined);
  if (found === undefined) throw new UserError(`${image}: there is no such image`);
  const options = signal === undefined ? {} : { signal };
  if (/\.xz$/.test(image)) {
    throw new UserError({ message: `${image} is compressed by xz`, hint: 'Give the .img or the .img.zst.' });
  }
  await mkdir(dirname(out), { recursive: true });
  await (await open(out, 'wx', 0o600)).close();
  if (/\.zst$/.test(image)) await hostRunner.run(['zstd', '-d', '-q', '-f', '--sparse', image, '-o', out], options);
  else await hostRunner.run(['cp', '--reflink=auto', '--sparse=always', '--', image, out], options);
  // zstd replaces the file and gives it the mode of the packed one.
  await chmod(out, 0o600);
}

async function writePrivate(path: string, text: string): Promise<void> {
  const file = await open(path, 'wx', 0o600);
  try {
    await file.writeFile(text);
    await file.sync();
  } finally {
    await file.close();
  }
}
