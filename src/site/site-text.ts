import { shownName, unlockMethods } from './unlock-methods.ts';

/** Everything that `init-site` asks for; see the comments of the written file for what each is. */
export interface SiteAnswers {
  readonly name: string;
  readonly hostname: string;
  readonly timezone: string;
  readonly admins: readonly { readonly name: string; readonly keys: readonly string[] }[];
  readonly recipients: readonly string[];
  /** Name of the person who accepts that a single key can recover the device. */
  readonly singleRecipientAccepted?: string;
  readonly tlsNames: readonly string[];
  readonly unlock: string;
  /** Of `tpm2`. */
  readonly pin?: boolean;
  /** Of `tang`. */
  readonly tang?: { readonly url: string; readonly thumbprint: string };
  readonly wifi?: { readonly country: string; readonly ssid: string; readonly psk: string };
}

/** Plain where YAML cannot take it for anything else, double quotes elsewhere. */
const scalar = (text: string): string =>
  /^[a-z][a-z0-9-]*(\.[a-z][a-z0-9-]*)*$/.test(text) && !/^(y|n|yes|no|on|off|true|false|null)$/.test(text)
    ? text
    : JSON.stringify(text);

/** The commented site file. Its last line is YAML's end of document: a file that was cut short lacks it. */
export function siteText(answers: SiteAnswers): string {
  const method = unlockMethods.find(
    (known) => known.method === answers.unlock && (known.pin ?? false) === (answers.pin ?? false),
  );
  const lines = [
    '# What one site needs. Stamp it onto an image: amslpr-image personalize IMAGE THIS-FILE -o CARD.img',
    '# or copy it as site.yaml onto the boot partition of a flashed card. It holds no password of the device.',
    'format: 1',
    '',
    '# For people; the host name is what the device calls itself on the network.',
    `name: ${scalar(answers.name)}`,
    `hostname: ${scalar(answers.hostname)}`,
    `timezone: ${scalar(answers.timezone)}`,
    '',
    '# Who may log in, by SSH keys only: ed25519, sk- keys, RSA from 3072 bits. With `recovery: false` below a key',
    '# the recovery bundle is not encrypted to the keys of that admin (sk- keys cannot decrypt one).',
    'admins:',
    ...answers.admins.flatMap(({ name, keys }) => [
      `  - name: ${scalar(name)}`,
      '    keys:',
      ...keys.map((key) => `      - ${JSON.stringify(key)}`),
      ...(keys.every((key) => /^(ssh-ed25519|ssh-rsa) /.test(key)) ? [] : ['    recovery: false']),
    ]),
    '',
    '# Who can open the recovery bundle (sudo password, LUKS recovery key), beside the admins: age1… or SSH public keys.',
    ...recovery(answers),
    '',
    '# Wired networks need nothing here: they use DHCP.',
    ...network(answers),
    '',
    '# Names and addresses for the certificate. mode: self-signed, or csr to have it signed by an authority of yours.',
    'tls:',
    ...(answers.tlsNames.length > 0 ? ['  names:', ...answers.tlsNames.map((name) => `    - ${scalar(name)}`)] : []),
    '  mode: self-signed',
    '',
    '# Where alerts and the daily report go; the password is given on the device: sudo amslpr-device mail password',
    '# mail:',
    '#   server: smtp.example.net',
    '#   security: starttls  # or tls',
    '#   user: gate@example.net',
    '#   from: gate@example.net',
    '#   to:',
    '#     - operator@example.net',
    '# logs:  # a central log server: syslog over TLS',
    '#   server: logs.example.net',
    '',
    '# How the encrypted data partition is opened at a start.',
    ...unlockMethods.flatMap((known) => [
      `#   ${`${shownName(known)}:`.padEnd(11)} ${known.lines[0]}`,
      `#               ${known.lines[1]}`,
    ]),
    'unlock:',
    `  method: ${scalar(answers.unlock)}`,
    ...(answers.pin === true ? ['  pin: true'] : []),
    ...(answers.tang === undefined
      ? []
      : [
          '  tang:',
          `    url: ${JSON.stringify(answers.tang.url)}`,
          '    # Of the signing key, by tang-show-keys on the server.',
          `    thumbprint: ${JSON.stringify(answers.tang.thumbprint)}`,
        ]),
    ...(method?.needsPerson === true
      ? [
          '  # With true, automatic updates may reboot the device, which then stays locked until someone comes.',
          '  # accept-no-automatic-reboot: true',
        ]
      : []),
    '',
    '# A card that was used before: keep its data (the device waits and says whose it is), erase or adopt it.',
    'data:',
    '  existing: keep',
    '...',
  ];
  return `${lines.join('\n')}\n`;
}

function recovery({ recipients, singleRecipientAccepted }: SiteAnswers): string[] {
  if (recipients.length === 0 && singleRecipientAccepted === undefined)
    return ['# recovery:', '#   recipients:', '#     - age1…'];
  return [
    'recovery:',
    ...(recipients.length > 0 ? ['  recipients:', ...recipients.map((key) => `    - ${JSON.stringify(key)}`)] : []),
    ...(singleRecipientAccepted === undefined
      ? []
      : [`  single-recipient-accepted: ${scalar(singleRecipientAccepted)}`]),
  ];
}

function network({ wifi }: SiteAnswers): string[] {
  const example = [
    '#   wired:',
    '#     method: static',
    '#     address: 192.0.2.10/24',
    '#     gateway: 192.0.2.1',
    '#     dns:',
    '#       - 192.0.2.1',
    '#   management:  # SSH only from these networks, and from neighbours on the same cable by link-local addresses',
    '#     - 192.0.2.0/24',
    '#   ssh-link-local: true  # false: not from neighbours either',
    '#   cameras:  # a VLAN of their own on the wired port; they reach nothing on the device',
    '#     vlan: 20',
    '#     address: 192.168.20.1/24',
  ];
  if (wifi === undefined) return ['# network:', ...example];
  return [
    'network:',
    '  wifi:',
    `    country: ${JSON.stringify(wifi.country)}`,
    `    ssid: ${JSON.stringify(wifi.ssid)}`,
    `    psk: ${JSON.stringify(wifi.psk)}`,
    ...example,
  ];
}
