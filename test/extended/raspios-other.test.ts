import { expect, it } from 'vitest';
import { readImage } from '../../src/audit/image.ts';
import { auditImage } from '../../src/audit/report.ts';
import { silent } from '../../src/core/log.ts';
import { raspiosImage } from '../image/raspios-image.ts';

// The engine must not count on the choices of the usual stand-in: this one has another layout, account and form of
// sources, units below /etc, a package for another CPU, one that is held back, and more that is dangerous.

it('an image with other choices becomes as closed as the usual one', async () => {
  const { result, plan } = await raspiosImage('raspios-other', { other: true });
  const report = await auditImage(result.image, plan.checks, silent);
  expect(report.results.filter(({ outcome }) => outcome === 'fail')).toEqual([]);
  const tree = await readImage(result.image, { keep: ['/etc/**', '/var/lib/dpkg/**'] });
  expect(tree.text('/var/lib/dpkg/status')).not.toMatch(/^Architecture: armhf$|^Status: hold /m);
  expect((tree.get('/usr/local/bin/field')?.mode ?? 0) & 0o6000).toBe(0);
  expect(tree.get('/usr/local/bin/field')?.xattrs?.['security.capability']).toBeUndefined();
  const gone = ['/home/field', '/etc/rc.local', '/etc/sudoers.d/zz-field', '/var/swap', '/boot/firmware/userconf.txt'];
  for (const path of gone) expect(tree.get(path), path).toBeUndefined();
  expect(tree.get('/etc/systemd/system/multi-user.target.wants/field.service')).toBeUndefined();
  expect(tree.get('/etc/NetworkManager/system-connections/preconfigured.nmconnection')).toBeUndefined();
});
