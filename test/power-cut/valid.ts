import { createPrivateKey, pbkdf2Sync, X509Certificate } from 'node:crypto';

const DAY = 86_400_000;
/** Days that the device lets its certificate end later than one of today, as in its steps/tls.py. */
const SLACK = 60;

/**
 * What is wrong with the device's own certificate; empty when nothing is. It begins a day before the image was built and
 * is good for `days` from when it was made.
 */
export function certificateFault(pem: string, key: string, days: number, now = Date.now()): string {
  let found: X509Certificate;
  try {
    found = new X509Certificate(pem);
  } catch {
    return 'the certificate cannot be read';
  }
  if (!found.checkPrivateKey(createPrivateKey(key))) return 'the certificate is of another key';
  const [begins, ends] = [Date.parse(found.validFrom), Date.parse(found.validTo)];
  const good = begins <= now && now < ends && ends <= now + (days + SLACK) * DAY;
  return good ? '' : `the certificate is good from ${found.validFrom} to ${found.validTo}`;
}

/** What keeps the bundle's password from opening the application's first account; empty when nothing does. */
export function accountFault(users: string, password: string): string {
  let found: { readonly users?: Record<string, { readonly password_hash?: unknown; readonly salt?: unknown }> } | null;
  try {
    found = JSON.parse(users) as typeof found;
  } catch {
    return 'the accounts of the application cannot be read';
  }
  const { password_hash: hash, salt } = found?.users?.['admin'] ?? {};
  if (typeof hash !== 'string' || typeof salt !== 'string') return 'the application has no account admin';
  // As AMSLPR does it: the salt is a text.
  const made = pbkdf2Sync(password, salt, 100_000, 32, 'sha256').toString('hex');
  return made === hash ? '' : "the password of the application's account is another";
}
