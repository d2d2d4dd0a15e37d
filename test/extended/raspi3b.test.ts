import { describe, expect, it } from 'vitest';
import { auditExitCode } from '../../src/audit/report.ts';
import { checkBooted } from '../../src/qemu/check.ts';
import { failures } from '../boot/drive.ts';
import { cardMethod, Site } from '../helpers/unlock-site.ts';
import { builtImage } from '../image/built-image.ts';

it('the default image boots under raspi3b from the SD card, and passes every check', async () => {
  const report = await checkBooted((await builtImage()).image, { machine: 'raspi3b' });
  expect(failures(report.results)).toEqual([]);
  expect(auditExitCode(report)).toBe(0);
});

describe('the method card under raspi3b', () => {
  cardMethod(new Site('raspi3b'));
});
