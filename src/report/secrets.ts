import type { PlainSecret } from '../core/contribution.ts';
import type { StageParts } from './contributions.ts';

/** Every secret that stages leave outside the encrypted partition, by its path. */
export const plainSecrets = (all: readonly StageParts[]): PlainSecret[] =>
  all
    .flatMap(({ parts }) => parts.flatMap((part) => part.plainSecrets ?? []))
    .sort((a, b) => a.path.localeCompare(b.path));

const HEAD = `# Secrets outside the encrypted partition

Made from the stages by \`npm run docs\`. A device has no other secret outside LUKS; which of these it has depends on its site. All of them are on root, for root alone to read, and none is in an image.

\`test/boot/default-image.test.ts\` ties this page to real cards. It reads what a provisioned device has at these paths, and searches the whole raw card for it: in plain, in hexadecimal and in base64. Each is found on the root partition alone, and the files that hold one of them are the listed ones and no others; blocks of root that no file has any more may hold an older copy. The secrets that belong inside (recovery key, volume key, passwords, TLS key, keys of the application, passphrase of the data) are searched for in the same way, and are found nowhere; so are, in \`test/extended/unlock.test.ts\`, the machine keys of \`tang\` and \`usb-key\`. The passwords of relay and log server and the keys for the log server and for the server of copies are in \`/etc/amslpr/secrets\`, inside as well.

| path | what | why outside | until |
| --- | --- | --- | --- |
`;

const TAIL = `
What a thief of the card learns from it, by unlock method, is the table in the [README](../README.md#unlock-methods).

Not on the list, since they are worth nothing alone:

- \`/var/lib/amslpr-device/keys/tpm2.json\`: the sealed key of \`tpm2\`; only the same chip opens it.
- \`/var/lib/amslpr-device/keys/tang.jwe\`: the key of \`tang\`; only with the help of the server.
- \`bundle.0\` and \`bundle.1\` on the boot partition: the recovery bundle, encrypted to the operator's keys.
- \`/etc/amslpr/config.json\`: the application's settings, which came with the image and hold no secret. A password that you write into it yourself lies on root in the open; those of cameras belong in the application's own pages, which keep them inside.

With \`usb-key\` the key is on the stick, in a file that whoever has the stick can read.

The device takes the Wi-Fi passphrase, the enrolment token and password hashes out of \`site.yaml\` on the boot partition, in place. That removes them from the file and from free clusters; what flash memory keeps of overwritten sectors, nobody can promise.
`;

/** docs/secrets.md. */
export const secretsPage = (secrets: readonly PlainSecret[]): string =>
  `${HEAD}${secrets.map(({ path, what, why, until }) => `| \`${path}\` | ${what} | ${why} | ${until} |\n`).join('')}${TAIL}`;
