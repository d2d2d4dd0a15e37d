import { describe, expect, it } from 'vitest';
import { configFromText } from '../../../src/config/load.ts';
import { UserError } from '../../../src/core/errors.ts';
import { makePlan } from '../../../src/plan/plan.ts';
import { planText } from '../../../src/plan/print.ts';
import { recordOf } from '../../../src/plan/record.ts';
import { stages } from '../../../stages/index.ts';

const project = `${import.meta.dirname}/../../..`;
const digest = 'a'.repeat(64);
const read = (base: string) => configFromText(`name: north\nbase:\n${base}`, '/srv/sites/north.yaml', stages);
const problems = (base: string): string[] => {
  try {
    read(base);
  } catch (error) {
    if (!(error instanceof UserError)) throw error;
    return error.problems.map(({ message, where, hint }) => `${where?.line}: ${message} (${hint})`);
  }
  return [];
};

describe('the base raspios in a configuration', () => {
  it('takes a path from the folder of the file on, and a URL with its digest', () => {
    expect(read('  kind: raspios\n  image: images/lite.img.xz\n').base).toEqual({
      kind: 'raspios',
      image: '/srv/sites/images/lite.img.xz',
    });
    expect(read(`  kind: raspios\n  image: https://x.example/lite.img.zst\n  sha256: ${digest}\n`).base).toEqual({
      kind: 'raspios',
      image: 'https://x.example/lite.img.zst',
      sha256: digest,
    });
  });

  it.each([
    ['  kind: raspios\n', /^2: base lacks image/],
    ['  kind: raspios\n  image: lite.zip\n', /^4: base\.image has not the form it needs; found the text "lite\.zip"/],
    ['  kind: raspios\n  image: https://x.example/lite.img\n', /^4: base\.image is a URL, and base\.sha256 is missing/],
    ['  kind: raspios\n  image: ftp://x.example/lite.img\n', /^4: base\.image is neither a path nor an http URL/],
    [`  kind: raspios\n  image: lite.img\n  sha256: ${digest.slice(1)}\n`, /^5: base\.sha256 /],
    ['  kind: debian\n  image: lite.img\n', /^4: base\.image is for the base raspios only/],
    ['  kind: raspbian\n  image: lite.img\n', /^3: base\.kind is one of debian, raspios; found the text "raspbian"/],
  ])('refuses %j', (base, message) => {
    expect(problems(base)).toEqual([expect.stringMatching(message)]);
  });

  it('says both things that are wrong', () => {
    expect(problems(`  kind: debian\n  image: lite.img\n  sha256: ${digest}\n`)).toHaveLength(2);
  });
});

describe('the plan on raspios', () => {
  const plan = (image: string, sha256 = digest) =>
    makePlan(read(`  kind: raspios\n  image: ${image}\n  sha256: ${sha256}\n`), stages, project);

  it('is the same wherever the image lies, and another for another image', () => {
    expect(plan('/one/lite.img').digest).toBe(plan('/two/lite.img').digest);
    expect(plan('/one/lite.img').digest).not.toBe(plan('/one/lite.img', 'b'.repeat(64)).digest);
  });

  it('tells the image to people and not to the device', () => {
    const one = plan('/home/alex/lite.img');
    expect(planText(recordOf(one), (_, text) => text)).toContain(`on /home/alex/lite.img\n   SHA-256 ${digest}`);
    for (const { bytes = Buffer.alloc(0), path } of one.files) {
      expect(Buffer.from(bytes).includes('/home/alex'), path).toBe(false);
    }
  });

  it("asks for none of Debian's kernels, masks what waits for the first boot, and writes cmdline.txt", () => {
    const { packages, units, files, allowed } = plan('/one/lite.img');
    expect(packages).not.toContain('linux-image-arm64');
    expect(packages).not.toContain('raspi-firmware');
    expect(units).toMatchObject({ 'userconfig.service': 'masked', 'sshswitch.service': 'masked' });
    const cmdline = files.find(({ path }) => path === '/boot/firmware/cmdline.txt')?.bytes;
    expect(String(cmdline)).toMatch(/^console=serial0,115200 console=tty1 root=PARTUUID=@DISK-ID@-02 .*rootwait .*\n$/);
    expect(allowed?.setuid).toContain('/usr/bin/sudo');
    expect(allowed?.units).toContain('ufw.service');
  });
});
