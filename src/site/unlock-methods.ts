/** What an unlock method keeps from someone who has: the card alone, the whole box, both for a while, a discarded card. */
export interface UnlockMethod {
  readonly method: 'passphrase' | 'card';
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
    method: 'card',
    lines: [
      'The key lies on the same card: the device starts by itself, also after a power cut or an automatic reboot.',
      'Keeps data from nobody who has the card, with or without the box; it only makes wiping quick and a later change possible.',
    ],
    protects: { pulledCard: false, boxStolen: false, tamperedAndReturned: false, discardedCard: false },
    needsPerson: false,
  },
];

/** The matrix of what each method protects from, as rows of a table for people. */
export function unlockMatrix(): string {
  const cell = (yes: boolean): string => (yes ? 'kept  ' : 'open  ');
  const rows = unlockMethods.map(({ method, protects }) =>
    [
      method.padEnd(12),
      cell(protects.pulledCard).padEnd(13),
      cell(protects.boxStolen).padEnd(12),
      cell(protects.tamperedAndReturned).padEnd(23),
      cell(protects.discardedCard).trim(),
    ].join(''),
  );
  return ['            card pulled  box stolen  tampered and returned  card discarded', ...rows].join('\n');
}
