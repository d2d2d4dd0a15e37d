import { describe, expect, it } from 'vitest';
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
    const figures = unitFigures(readExposures(said('5.0')), 'systemd');
    expect(met(figures)).toEqual({ 'units/application': true, 'units/nginx': true, 'units/others': true });
  });

  it('names a unit of ours that is open, and counts a missing one as open', () => {
    const figures = unitFigures(readExposures(said('7.2')), 'systemd');
    expect(figures.find(({ id }) => id === 'units/others')).toMatchObject({
      met: false,
      below: ['amslpr-console.service 7.2'],
    });
    expect(met(unitFigures([], 'systemd'))).toEqual({
      'units/application': false,
      'units/nginx': false,
      'units/others': false,
    });
  });
});
