import { describe, expect, it } from 'vitest';
import { qemuArguments } from '../../../src/qemu/command.ts';
import { cardSize } from '../../../src/qemu/overlay.ts';

const input = {
  boot: { kernel: 'k', initramfs: 'i', cmdline: 'root=x quiet', deviceTree: 'd' },
  overlay: 'card.qcow2',
  ports: { ssh: 2201, http: 8001, https: 4431 },
  qmp: 'qmp',
  console: 'console.log',
  interactive: false,
  kvm: false,
} as const;

describe('QEMU', () => {
  it('forwards to the loopback interface alone', () => {
    for (const machine of ['virt', 'raspi3b'] as const) {
      const net = qemuArguments({ ...input, machine }).find((word) => word.startsWith('user,'));
      expect(net).toBe(
        'user,id=net,hostfwd=tcp:127.0.0.1:2201-:22,hostfwd=tcp:127.0.0.1:8001-:80,hostfwd=tcp:127.0.0.1:4431-:443',
      );
    }
  });
  it('keeps the command line of the image and adds its console', () => {
    const words = qemuArguments({ ...input, machine: 'virt' });
    expect(words[words.indexOf('-append') + 1]).toBe(
      'root=x quiet systemd.default_device_timeout_sec=900 console=ttyAMA0,115200',
    );
  });
  it('puts the card on the SD controller of a Pi', () => {
    const words = qemuArguments({ ...input, machine: 'raspi3b' });
    expect(words).toContain('if=sd,id=card,format=qcow2,file=card.qcow2');
    expect(words[words.indexOf('-dtb') + 1]).toBe('d');
  });
  it('gives virt one end of a cable to another guest', () => {
    const cable = { socket: '/x/cable', end: 'connect', mac: '52:54:00:13:00:02' } as const;
    const text = qemuArguments({ ...input, machine: 'virt', board: { cable } }).join(' ');
    expect(text).toContain('-netdev stream,id=cable,server=off,addr.type=unix,addr.path=/x/cable');
    expect(text).toContain('netdev=cable,mac=52:54:00:13:00:02');
    expect(text).toContain('virtio-net-pci,netdev=net,');
  });
  it('gives virt one cable with the host’s network and another guest', () => {
    const cable = { socket: '/x/cable', end: 'listen', mac: '52:54:00:13:00:01', only: true } as const;
    const text = qemuArguments({ ...input, machine: 'virt', board: { cable } }).join(' ');
    expect(text).toContain('hubport,id=p1,hubid=0,netdev=net -netdev hubport,id=p2,hubid=0,netdev=cable');
    expect(text.indexOf('-netdev user,id=net')).toBeLessThan(text.indexOf('-netdev hubport'));
    expect(text.match(/-device virtio-net-pci,\S+/g)).toEqual([
      '-device virtio-net-pci,netdev=switch,mac=52:54:00:13:00:01,romfile=',
    ]);
  });

  it('gives virt a TPM and USB ports, with or without a stick', () => {
    const bare = qemuArguments({ ...input, machine: 'virt' }).join(' ');
    expect(bare).not.toMatch(/tpm|xhci|usb/);
    const empty = qemuArguments({ ...input, machine: 'virt', board: { tpm: '/s', usb: {} } }).join(' ');
    expect(empty).toMatch(
      /socket,id=tpm,path=\/s -device virtio-serial-pci -device virtserialport,chardev=tpm,name=tpm/,
    );
    expect(empty).toContain('qemu-xhci');
    expect(empty).not.toContain('usb-storage');
    const stick = qemuArguments({ ...input, machine: 'virt', board: { usb: { stick: '/a,b.img' } } });
    expect(stick.find((word) => word.includes('"filename"'))).toContain('"/a,b.img"');
  });
  it('gives virt the memory and the clock that the board has', () => {
    const text = (board: object): string => qemuArguments({ ...input, machine: 'virt', board }).join(' ');
    expect(text({})).toMatch(/-m 1024 /);
    expect(text({})).not.toContain('-rtc');
    expect(text({ memory: 512, clock: '2016-01-01T00:00:00' })).toMatch(/-m 512 -rtc base=2016-01-01T00:00:00 /);
  });
  it('leaves every network card out when the board has none', () => {
    const text = qemuArguments({ ...input, machine: 'virt', board: { network: 'none' } }).join(' ');
    expect(text).not.toMatch(/netdev|virtio-net/);
    expect(text).toContain('virtio-rng-pci');
  });
  it('uses the host’s processor where that is possible', () => {
    expect(qemuArguments({ ...input, machine: 'virt', kvm: true })).toContain('host');
    expect(qemuArguments({ ...input, machine: 'virt' })).toContain('cortex-a72');
  });
});

it.each([
  [1.5, 8],
  [8, 8],
  [8.001, 16],
  [20, 32],
])('an image of %s GiB is seen as a card of %s GiB', (image, card) => {
  expect(cardSize(image * 2 ** 30)).toBe(card * 2 ** 30);
});
