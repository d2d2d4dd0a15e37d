import type { PlannedCheck } from './check.ts';
import type {
  AbsPath,
  Account,
  Allowed,
  BroughtSource,
  DataBind,
  FirstBootStep,
  Group,
  Mode,
  OpenPort,
  Owner,
  PlainSecret,
  UnitState,
} from './contribution.ts';
import type { Target } from './stage.ts';

/** A file with its bytes settled. `bytes` is absent for directories and links. */
export interface PlannedFile {
  readonly path: AbsPath;
  readonly type: 'file' | 'directory' | 'symlink';
  readonly mode: Mode;
  readonly owner: Owner;
  readonly bytes?: Uint8Array;
  readonly target?: string;
  readonly capabilities?: string;
  readonly initramfs: boolean;
  readonly stage: string;
}

/** Everything that is to be built: merged, ordered, hashable, free of secrets. */
export interface Plan {
  /** Stem of the output files' names. */
  readonly name: string;
  readonly target: Target;
  readonly base: BaseSpec;
  readonly stages: readonly string[];
  /** Sorted, without repeats. */
  readonly packages: readonly string[];
  readonly purge: readonly string[];
  /** Sorted by path. */
  readonly files: readonly PlannedFile[];
  readonly accounts: readonly Account[];
  readonly groups: readonly Group[];
  readonly units: Readonly<Record<string, UnitState>>;
  /**
   * For information: the boot-files stage has put these into files of the plan already (/etc/default/raspi-firmware,
   * raspi-extra-cmdline and raspi-firmware-custom), from which raspi-firmware's own hook writes cmdline.txt and
   * config.txt, at build as at every later kernel upgrade. The engine runs that hook and writes neither file itself.
   */
  readonly cmdline: readonly string[];
  readonly configTxt: readonly string[];
  readonly statOverrides: Readonly<Record<AbsPath, { mode: Mode; owner: Owner }>>;
  /** Sorted; each is also a path of `files`. */
  readonly diversions: readonly AbsPath[];
  readonly openPorts: readonly OpenPort[];
  readonly dataBinds: readonly DataBind[];
  readonly plainSecrets: readonly PlainSecret[];
  /** What the device does once, in order; for information: the steps' code is among `files`. */
  readonly firstBoot: readonly FirstBootStep[];
  readonly sources: readonly BroughtSource[];
  /** Absent with the base `debian`, where nothing is but what the plan asks for. */
  readonly allowed?: Required<Allowed>;
  readonly checks: readonly PlannedCheck[];
  /** SHA-256 in hex over the canonical JSON of all above (files by their SHA-256). */
  readonly digest: string;
}

/**
 * Where the root file system starts. `image` is an absolute path or an http(s) URL; `sha256` that of the file as it is,
 * which a URL always has. `mirror` is where Debian's packages are taken from.
 */
export type BaseSpec =
  | { readonly kind: 'debian'; readonly mirror?: string }
  | { readonly kind: 'raspios'; readonly image: string; readonly sha256?: string; readonly mirror?: string };

/**
 * Stands for the MBR disk signature (eight hex digits, lower case) in the text of planned files such as /etc/fstab, where
 * `PARTUUID=@DISK-ID@-02` is the root partition. The signature derives from the plan's digest, so it cannot be in the
 * plan; the engine puts it in wherever the token stands when it writes the files, before boot files are generated.
 */
export const DISK_ID_TOKEN = '@DISK-ID@';

/**
 * Programs that the engine runs in the image when a planned file lies below a folder that only they read. After files,
 * accounts and diversions, before the initramfs.
 */
export const AFTER_FILES: readonly { readonly below: AbsPath; readonly run: readonly string[] }[] = [
  { below: '/usr/share/pam-configs/', run: ['pam-auth-update', '--package'] },
];
