/** What an unlock method keeps from someone who has: the card alone, the whole box, both for a while, a discarded card. */
export interface UnlockMethod {
  readonly method: 'passphrase' | 'tang' | 'tpm2' | 'usb-key' | 'card';
  /** Another row of the matrix for the same method: `tpm2` with a PIN. */
  readonly pin?: true;
  /** Two lines for `init-site`: how it works, and honestly what it is worth. */
  readonly lines: readonly [string, string];
  readonly protects: Readonly<Record<'pulledCard' | 'boxStolen' | 'tamperedAndReturned' | 'discardedCard', boolean>>;
  /** Whether somebody has to act at every start. */
  readonly needsPerson: boolean;
}

/**
 * The methods that the image has. There is no default: the choice is the security. None protects a device that was
 * tampered with and returned, since whoever holds the card can edit cmdline.txt.
 */
export const unlockMethods: readonly UnlockMethod[] = [
  {
    method: 'passphrase',
    lines: [
      'Someone types a passphrase over SSH or at the console after every start; set on the device, never in this file.',
      'Keeps data from whoever takes the card or the box; not from one who alters the card and returns it. No automatic reboots.',
    ],
    protects: { pulledCard: true, boxStolen: true, tamperedAndReturned: false, discardedCard: true },
    needsPerson: true,
  },
  {
    method: 'tang',
    lines: [
      'A tang server on the network helps to open: the device starts by itself wherever it reaches that server.',
      'Keeps data from whoever takes the card; from a stolen box only with a server that the thief does not reach, so outside the site.',
    ],
    protects: { pulledCard: true, boxStolen: true, tamperedAndReturned: false, discardedCard: true },
    needsPerson: false,
  },
  {
    method: 'tpm2',
    lines: [
      'A TPM 2.0 chip on the board opens: the device starts by itself. The chip is bound to, the software is not: a Pi measures nothing.',
      'Keeps data from whoever takes the card; not from who takes the box. A cleared chip or another board needs the recovery key.',
    ],
    protects: { pulledCard: true, boxStolen: false, tamperedAndReturned: false, discardedCard: true },
    needsPerson: false,
  },
  {
    method: 'tpm2',
    pin: true,
    lines: [
      'The same with a PIN that someone types after every start; the chip refuses for a while after wrong ones.',
      'Keeps data from whoever takes the card or the box; not from one who alters the card and returns it. No automatic reboots.',
    ],
    protects: { pulledCard: true, boxStolen: true, tamperedAndReturned: false, discardedCard: true },
    needsPerson: true,
  },
  {
    method: 'usb-key',
    lines: [
      'The key is a file on a USB stick labelled AMSLPRKEY: the device starts by itself while the stick is in.',
      'Keeps data from whoever takes the card without the stick; from a stolen box only when the stick was not in it.',
    ],
    protects: { pulledCard: true, boxStolen: false, tamperedAndReturned: false, discardedCard: true },
    needsPerson: false,
  },
  {
    method: 'card',
    lines: [
      'The key lies on the same card: the device starts by itself, also after a power cut or an automatic reboot.',
      'Keeps data from nobody who has the card, with or without the box; it only makes wiping quick and a later change possible.',
    ],
    protects: { pulledCard: false, boxStolen: false, tamperedAndReturned: false, discardedCard: false },
    needsPerson: false,
  },
];

/** `tpm2 + PIN` for the row with a PIN. */
export const shownName = ({ method, pin }: UnlockMethod): string => (pin === true ? `${method} + PIN` : method);

/** The matrix of what each method protects from, as rows of a table for people. */
export function unlockMatrix(): string {
  const cell = (yes: boolean): string => (yes ? 'kept  ' : 'open  ');
  const rows = unlockMethods.map((method) => {
    const { protects } = method;
    return [
      shownName(method).padEnd(12),
      cell(protects.pulledCard).padEnd(13),
      cell(protects.boxStolen).padEnd(12),
      cell(protects.tamperedAndReturned).padEnd(23),
      cell(protects.discardedCard).trim(),
    ].join('');
  });
  return ['            card pulled  box stolen  tampered and returned  card discarded', ...rows].join('\n');
}
