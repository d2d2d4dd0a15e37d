import { createHash, createHmac, timingSafeEqual } from 'node:crypto';
import { StepError } from '../core/errors.ts';

/** What a device says about itself; more than is read here. */
export interface DeviceReport {
  readonly name: string;
  readonly hostname: string;
  /** `ssh-ed25519 BASE64`, perhaps with a comment. */
  readonly ssh_host_key: string;
  readonly [more: string]: unknown;
}

/** Python's json.dumps with sorted keys, without spaces, in ASCII: what the device's HMAC is over. */
export function canonicalJson(value: unknown): string {
  if (Array.isArray(value)) return `[${value.map(canonicalJson).join(',')}]`;
  if (typeof value === 'object' && value !== null) {
    // By code point, as Python sorts; keys of reports are ASCII.
    const keys = Object.keys(value).sort();
    return `{${keys.map((key) => `${canonicalJson(key)}:${canonicalJson((value as Record<string, unknown>)[key])}`).join(',')}}`;
  }
  const hex = (unit: string): string => `\\u${unit.charCodeAt(0).toString(16).padStart(4, '0')}`;
  return JSON.stringify(value).replace(/[^ -~]/g, hex);
}

/** Whether the text of report.json carries the HMAC of this token, and the report in it. @throws StepError for no report */
export function readReport(text: string, token?: string): { readonly report: DeviceReport; readonly genuine: boolean } {
  let found: { report?: DeviceReport; hmac_sha256?: unknown };
  try {
    found = JSON.parse(text);
  } catch (cause) {
    throw new StepError({ message: 'The device gave no report', hint: text.slice(0, 300) }, { cause });
  }
  const { report, hmac_sha256: given } = found;
  if (typeof report?.ssh_host_key !== 'string' || typeof report.hostname !== 'string') {
    throw new StepError({ message: 'The device gave no report', hint: 'Wait until its status is "ready".' });
  }
  if (token === undefined || typeof given !== 'string') return { report, genuine: false };
  const wanted = createHmac('sha256', token).update(canonicalJson(report)).digest();
  const got = Buffer.from(given, 'hex');
  return { report, genuine: got.length === wanted.length && timingSafeEqual(got, wanted) };
}

/** `SHA256:…` of a public key's line, as ssh-keygen prints it. */
export function fingerprint(line: string): string {
  const blob = Buffer.from(line.split(' ')[1] ?? '', 'base64');
  return `SHA256:${createHash('sha256').update(blob).digest('base64').replace(/=+$/, '')}`;
}
