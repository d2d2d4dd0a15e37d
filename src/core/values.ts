import { type TString, type TStringOptions, Type } from 'typebox';

// Text that ends in files of the image. A form lists what may be in it, never what may not; none has a quote, a space, a
// line break or anything else that its files give a meaning to, so that nothing has to be escaped anywhere. The test of
// this file shows that of every form, and that of stages that all of their text has one of these forms.

const BYTE = '(25[0-5]|2[0-4][0-9]|1[0-9][0-9]|[1-9]?[0-9])';

const HEX = '[0-9a-fA-F]{1,4}';
/** An IPv6 address: eight groups, or fewer around one `::`. */
const IPV6 = `((${HEX}:){7}${HEX}|(${HEX}:){1,7}:${[1, 2, 3, 4, 5, 6].map((n) => `|(${HEX}:){1,${7 - n}}(:${HEX}){1,${n}}`).join('')}|:(:${HEX}){1,7}|::)`;
const IPV4 = `${BYTE}(\\.${BYTE}){3}`;
const LABEL = '[A-Za-z0-9]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?';

/** Each form: what it has to match, and an example for messages. */
export const FORMS = {
  /** One label: /etc/hostname, /etc/hosts, certificates. */
  hostName: ['^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$', 'gate-north'],
  /** Name or address of a server, as in timesyncd.conf. */
  server: [`^(${LABEL}(\\.${LABEL}){0,20}|${IPV6})$`, '0.debian.pool.ntp.org'],
  /** Arguments of apt and dpkg: never starts as an option does. */
  packageName: ['^[a-z0-9][a-z0-9+.-]+$', 'tesseract-ocr'],
  /** Times in timers and in apt.conf. */
  timeOfDay: ['^([01][0-9]|2[0-3]):[0-5][0-9]$', '03:30'],
  /** Names of units and patterns of them, in presets and checks. A name without its kind would fit no unit, `*` every one. */
  unitPattern: [
    '^[A-Za-z0-9:_][A-Za-z0-9:_.@*-]*\\.(automount|device|mount|path|service|slice|socket|swap|target|timer)$',
    'redis-server.service',
  ],
  /** A console= argument on the kernel command line. */
  kernelConsole: ['^tty[A-Za-z0-9]{1,12}(,[0-9]{1,7}[a-z0-9]{0,2})?$', 'ttyS1,115200'],
  /** A line of the boot loader's config.txt. */
  bootSetting: ['^[A-Za-z0-9_]+=[A-Za-z0-9_.,:=/-]+$', 'gpu_mem=16'],
  /** An address, or a network, of either version, in fail2ban's lists; not the whole Internet. */
  network: [`^(${IPV4}(/([1-9]|[12][0-9]|3[0-2]))?|${IPV6}(/([1-9]|[1-9][0-9]|1[01][0-9]|12[0-8]))?)$`, '192.0.2.0/24'],
  /** In directives of nginx. */
  ipv4: [`^${IPV4}$`, '192.0.2.53'],
  /** Stem of file names on the host. */
  imageName: ['^[a-z0-9]([a-z0-9.-]{0,40}[a-z0-9])?$', 'amslpr'],
  /** The second word of an ed25519 public key's line, as in ssh-keygen's lists of signers. */
  ed25519Key: [
    '^AAAAC3NzaC1lZDI1NTE5AAAAI[A-Za-z0-9+/]{43}$',
    'AAAAC3NzaC1lZDI1NTE5AAAAIDI1NTE5AAAAIDI1NTE5AAAAIDI1NTE5AAAAIDI1NTE5',
  ],
  /** Vendor and product in hex. */
  usbDevice: ['^[0-9a-f]{4}:[0-9a-f]{4}$', '0bda:8153'],
  /** As git describes a checkout; in RELEASE and in the plan. */
  version: ['^[A-Za-z0-9][A-Za-z0-9._+~/-]{0,63}$', '1.4.2'],
  /** Of a file, in hex. */
  sha256: ['^[0-9a-f]{64}$', 'e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855'],
  /** Base of a package archive, in apt's sources. */
  archiveUrl: ['^(https?|file)://[A-Za-z0-9._~:/\\[\\]-]+$', 'https://mirror.example/debian'],
} as const satisfies Readonly<Record<string, readonly [pattern: string, example: string]>>;

/** A path on the host that builds. It is opened there and goes into no file of the image. */
export const HOST_PATH = '^/[^\\0\\n\\r]+$';

/** An image file on the host, or its URL: opened there, and in no file of the image. */
export const BASE_IMAGE = '^[^\\0\\n\\r]+\\.img(\\.xz|\\.zst)?$';

export type Form = keyof typeof FORMS;

/** An option, or an entry of a list, with text of that form. */
export function textOf(form: Form, options: TStringOptions = {}): TString {
  const [pattern, example] = FORMS[form];
  return Type.String({ ...options, pattern, examples: [example] });
}
