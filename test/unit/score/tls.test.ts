import { expect, it } from 'vitest';
import { testsslFigures, tlsFindings } from '../../../src/score/measures/tls.ts';
import { met } from './met.ts';

it('sslscan: old protocols, weak ciphers, and nothing found', () => {
  const protocol = (version: string, enabled: number) =>
    `<protocol type="tls" version="${version}" enabled="${enabled}" />`;
  const cipher = (strength: string) =>
    `<cipher status="accepted" sslversion="TLSv1.2" bits="128" cipher="AES" strength="${strength}" />`;
  const good = `${protocol('1.1', 0)}${protocol('1.2', 1)}${protocol('1.3', 1)}${cipher('strong')}`;
  expect(tlsFindings(good)).toEqual([]);
  expect(tlsFindings(`${good}${protocol('1.1', 1)}${cipher('weak')}`)).toEqual(['TLSv1.1 is spoken', 'AES is weak']);
  expect(tlsFindings('')).toContain('no cipher was found');
  expect(tlsFindings(`${good}<heartbleed sslversion="TLSv1.2" vulnerable="1" />`)).toEqual(['Heartbleed']);
});

it('testssl.sh: the grade, and findings but the address for revocation', () => {
  const one = (id: string, severity: string, finding: string) => ({ id, severity, finding });
  const json = (...found: object[]) => JSON.stringify(found);
  const good = [one('overall_grade', 'OK', 'A+'), one('cert_revocation', 'HIGH', 'Neither CRL nor OCSP URI provided')];
  expect(met(testsslFigures(json(...good), 'testssl.sh'))).toEqual({ 'tls/grade': true, 'tls/testssl': true });
  const bad = [
    one('overall_grade', 'HIGH', 'B'),
    one('grade_cap_reason_1', 'INFO', 'old'),
    one('BREACH', 'LOW', 'gzip'),
  ];
  expect(testsslFigures(json(...bad), 'testssl.sh').map(({ below }) => below)).toEqual([
    ['old'],
    ['BREACH (LOW): gzip'],
  ]);
  expect(met(testsslFigures('[]', 'testssl.sh'))).toMatchObject({ 'tls/grade': false });
});
