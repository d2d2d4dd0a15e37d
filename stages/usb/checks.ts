import type { Check } from '../../src/core/check.ts';
import { file, run } from '../../src/core/shorthand.ts';

/** What must hold of the rules, and of what is plugged in. */
export function usbChecks(keyboard: boolean): Readonly<Record<string, Check>> {
  const rules = '/etc/udev/rules.d/60-amslpr-usb.rules';
  return {
    rules: file('Interfaces are admitted one by one', rules, {
      matches: [/interface_authorized_default\}="0"$/m, /bInterfaceClass\}=="09"/, /"ec00\|7800"/],
      ...(keyboard ? {} : { lacks: /bInterfaceClass\}=="03"/ }),
      why: 'Without hubs and its own Ethernet a Raspberry Pi 3 is not on line.',
    }),
    use: file('What was admitted is used', '/etc/udev/rules.d/61-amslpr-usb-use.rules', {
      matches: /^ENV\{AMSLPR_USB\}=="yes\|stick", ATTR\{authorized\}=="0", ATTR\{authorized\}="1"$/m,
    }),
    admitted: run('Nothing is in use that no rule admitted', '/usr/lib/amslpr/usb-interfaces list', {
      lacks: [/refused, in use$/m, /by itself: (?!devices 0, interfaces 0$)/m],
      why: 'A keyboard that types by itself, or a disk with a hostile file system, is a stick like any other.',
    }),
  };
}
