import { describe, expect, it } from 'vitest';
import { readConfigTxt } from '../../../src/qemu/boot-files.ts';

describe('config.txt', () => {
  it.each([
    [
      'Debian writes both names',
      'arm_64bit=1\nkernel=vmlinuz-6.12\ninitramfs initrd.img-6.12\n',
      'vmlinuz-6.12',
      'initrd.img-6.12',
    ],
    ['Raspberry Pi OS pairs them', '[all]\nauto_initramfs=1\n', 'kernel8.img', 'initramfs8'],
    [
      'other boards are not ours',
      '[pi5]\nkernel=five\n[all]\nkernel=all\ninitramfs i\n[pi4]\nkernel=four\n',
      'all',
      'i',
    ],
    ['Pi 3 is ours', 'kernel=all\ninitramfs i\n[pi3]\nkernel=three\n', 'three', 'i'],
    ['comments and line ends do not matter', '#kernel=no\r\nkernel=yes\r\ninitramfs i followkernel\r\n', 'yes', 'i'],
    ['an empty file means the defaults', '', 'kernel8.img', 'initrd.img'],
  ])('%s', (_, text, kernel, initramfs) => {
    expect(readConfigTxt(text)).toEqual({ prefix: '', kernel, initramfs });
  });

  it('names a folder for all of them', () => {
    expect(readConfigTxt('os_prefix=set-a/\nkernel=k\ninitramfs i\n')).toEqual({
      ...{ prefix: 'set-a/', kernel: 'k', initramfs: 'i' },
    });
  });
});
