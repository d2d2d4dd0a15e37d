import { defineStage, Type } from '../src/core/stage.ts';
import { textOf } from '../src/core/values.ts';
import { usbChecks } from './usb/checks.ts';

export const usb = defineStage({
  name: 'usb',
  title: 'Use only the USB devices that a site needs',
  about:
    'The kernel uses no USB device by itself. Hubs, network cards and, for the passphrase at the console, keyboards are let in, interface by interface; serial ports with `application.serial`, disks with `kernel.usbStorage`, the stick of the method usb-key while its key is read. Everything else draws power and is told as an alert. Allow a device of another kind with `devices`.',
  guide: {},

  options: Type.Object(
    {
      keyboard: Type.Boolean({
        default: true,
        description: 'Let keyboards in: somebody at the device can give a passphrase or PIN at the console.',
      }),
      devices: Type.Array(textOf('usbDevice'), {
        default: [],
        description:
          'Devices that are let in whatever they are, VENDOR:PRODUCT as `lsusb` shows them; any device can say that it is one of them.',
      }),
    },
    { additionalProperties: false },
  ),

  contribute({ keyboard, devices }, { overlay }) {
    const ids = devices.map((one) => one.split(':'));
    const matches = ids.map(([vendor, product]) => `ATTRS{idVendor}=="${vendor}", ATTRS{idProduct}=="${product}"`);
    const rules = { data: { keyboard, devices: matches }, initramfs: true };
    return {
      cmdline: ['usbcore.authorized_default=0'],
      files: [
        overlay('/etc/udev/rules.d/60-amslpr-usb.rules', rules),
        overlay('/etc/udev/rules.d/61-amslpr-usb-use.rules', { initramfs: true }),
        // The initramfs has the rules, and a disk that root is on has to be let in there.
        overlay('/etc/initramfs-tools/hooks/amslpr-usb', { mode: '0755', initramfs: true }),
        overlay('/usr/lib/amslpr/usb-interfaces', { mode: '0755', initramfs: true }),
      ],
      checks: usbChecks(keyboard),
    };
  },
});
