import type { Check } from '../../src/core/check.ts';
import { file, run } from '../../src/core/shorthand.ts';

/** That the kernel knows the triggers that device/amslpr_device/status.py writes: it refuses others. */
export const ledChecks: Readonly<Record<string, Check>> = {
  'led-modules': file('What lets the LED blink is loaded', '/etc/modules-load.d/amslpr-led.conf', {
    matches: [/^ledtrig-timer$/m, /^ledtrig-default-on$/m],
  }),
  // Also without an LED, and for a kernel that has them built in: both are in this list.
  'led-triggers': run(
    'The kernel can let the LED blink',
    'grep -owE timer_trig_activate|defon_trig_activate|heartbeat_trig_activate /proc/kallsyms',
    { matches: [/^timer_trig_activate$/m, /^defon_trig_activate$/m, /^heartbeat_trig_activate$/m] },
  ),
};
