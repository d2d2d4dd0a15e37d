import { describe, expect, it } from 'vitest';
import { openedFor } from '../../../src/score/hardware.ts';
import { readExposures, unitFigures } from '../../../src/score/measures/units.ts';
import { met } from './met.ts';

describe('systemd-analyze', () => {
  const said = (console: string) =>
    Object.entries({ amslpr: '0.2', nginx: '2.4', 'amslpr-console': console, dbus: '9.3' })
      .map(
        ([name, exposure]) =>
          `✗ PrivateNetwork=  Service has access 0.5\n\n→ Overall exposure level for ${name}.service: ${exposure} OK :-)\n`,
      )
      .join('\n');

  it('is content with units that are locked in', () => {
    const figures = unitFigures(readExposures(said('5.0')), undefined, 'systemd');
    expect(met(figures)).toEqual({ 'units/application': true, 'units/nginx': true, 'units/others': true });
  });

  it('names a unit of ours that is open, and counts a missing one as open', () => {
    const figures = unitFigures(readExposures(said('7.2')), undefined, 'systemd');
    expect(figures.find(({ id }) => id === 'units/others')).toMatchObject({
      met: false,
      below: ['amslpr-console.service 7.2'],
    });
    expect(met(unitFigures([], undefined, 'systemd'))).toEqual({
      'units/application': false,
      'units/nginx': false,
      'units/others': false,
    });
  });

  it('lets an application with hardware be more open, when it reaches all of it', () => {
    const shown = 'DeviceAllow=/dev/gpiomem rw\nDeviceAllow=char-gpiochip rw\nDeviceAllow=char-ttyAMA rw\n';
    const kinds = openedFor(`${shown}PrivateNetwork=no\n`);
    expect(kinds).toEqual(['camera', 'gpio', 'serial']);
    expect(openedFor(`${shown}PrivateNetwork=yes\n`)).toEqual(['gpio', 'serial']);
    expect(openedFor('PrivateNetwork=yes\n')).toEqual([]);
    const reached = { camera: 'a frame of 1004 bytes', gpio: '8 pins', serial: '41 bytes' };
    const judge = (exposure: number, changed = {}) =>
      unitFigures([{ unit: 'amslpr.service', exposure }], { kinds, reached: { ...reached, ...changed } }, 'systemd')[0];
    expect(judge(2)).toMatchObject({
      id: 'units/devices',
      figure: '2.0; cameras: a frame of 1004 bytes, GPIO: 8 pins, serial port: 41 bytes',
      met: true,
    });
    expect(judge(2.1)?.met).toBe(false);
    expect(judge(1.5, { camera: 'no frame' })).toMatchObject({ met: false, below: ['cameras: no frame'] });
    expect(judge(1.5, { serial: 'refused: Permission denied' })?.met).toBe(false);
  });
});
