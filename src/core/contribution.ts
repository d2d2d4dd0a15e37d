import type { Check } from './check.ts';

/** Octal permission bits with a leading zero, as a string: YAML and JSON have no octal numbers. */
export type Mode = `0${number}`;
/** `user:group` by name; both must exist in the image when files are applied. */
export type Owner = `${string}:${string}`;
export type AbsPath = `/${string}`;

export type FileContent =
  /** The file at overlays/<stage><path>, or with `data` its rendered `.hbs`. */
  | { readonly kind: 'overlay'; readonly data?: Readonly<Record<string, unknown>> }
  | { readonly kind: 'text'; readonly text: string }
  | { readonly kind: 'bytes'; readonly bytes: Uint8Array }
  /** A file or folder of the project (`device/…`), read when planned. */
  | { readonly kind: 'source'; readonly source: string }
  | { readonly kind: 'directory' }
  | { readonly kind: 'symlink'; readonly target: string };

/** One file, directory or link of the image. Paths below /boot/firmware land on the boot partition (no modes there). */
export interface FileSpec {
  readonly path: AbsPath;
  readonly mode: Mode;
  readonly owner: Owner;
  readonly content: FileContent;
  /** File capabilities in cap_from_text(3) form, e.g. `cap_net_raw+ep`. */
  readonly capabilities?: string;
  /** Read by update-initramfs: part of the initramfs layer's key, written before it runs. */
  readonly initramfs?: boolean;
}

/** An account made at build time, in the words of sysusers.d(5). */
export interface Account {
  readonly name: string;
  /** Fixed, so that two builds agree; 900 to 998 for ours. */
  readonly uid: number;
  readonly description: string;
  readonly home?: AbsPath;
  /** Further groups it is a member of. */
  readonly groups?: readonly string[];
}
export interface Group {
  readonly name: string;
  readonly gid: number;
}

/** A port that is open to the network; the ufw stage turns all of them into rules. */
export interface OpenPort {
  readonly port: number;
  readonly protocol: 'tcp' | 'udp';
  /** `limit` refuses an address that opens six connections in thirty seconds. */
  readonly action: 'allow' | 'limit';
  readonly comment: string;
}

/** A directory that lives on the encrypted data partition and is bound to `path` once that is open. */
export interface DataBind {
  readonly path: AbsPath;
  /** Name of the directory on the data partition. */
  readonly name: string;
  readonly mode: Mode;
  readonly owner: Owner;
}

/** A secret that lies outside LUKS, for docs/secrets.md. */
export interface PlainSecret {
  readonly path: AbsPath;
  readonly what: string;
  readonly why: string;
  readonly until: string;
}

/** One step of the first boot; its code is device/amslpr_device/steps/<name>.py (dashes become underscores). */
export interface FirstBootStep {
  readonly name: string;
  readonly title: string;
}

/** Code of others that is in the image beside Debian's packages. */
export interface BroughtSource {
  readonly name: string;
  readonly origin: 'operator' | 'stand-in';
  readonly version: string;
  /** Over the paths and contents of the files that were taken. */
  readonly sha256: string;
  readonly files: number;
}

export interface Allowed {
  /** Programs that may run as somebody else; all others lose the bits. */
  readonly setuid?: readonly AbsPath[];
  /** Units, or patterns of them, that may start at boot; all others are disabled. */
  readonly units?: readonly string[];
}

export type UnitState = 'enabled' | 'disabled' | 'masked';

/** What one stage adds to the image. Pure data: nothing is done until the engine applies the merged plan. */
export interface Contribution {
  readonly packages?: readonly string[];
  /** Packages that must not be there; removed when a base brings them. */
  readonly purge?: readonly string[];
  readonly files?: readonly FileSpec[];
  readonly accounts?: readonly Account[];
  readonly groups?: readonly Group[];
  readonly units?: Readonly<Record<string, UnitState>>;
  /** Arguments for the kernel command line, in order, each without spaces. */
  readonly cmdline?: readonly string[];
  /** Lines for the [all] section of config.txt. */
  readonly configTxt?: readonly string[];
  /** Mode and owner of a packaged file, kept across upgrades by dpkg-statoverride. */
  readonly statOverrides?: Readonly<Record<AbsPath, { readonly mode: Mode; readonly owner: Owner }>>;
  /**
   * Packaged files that one of `files` takes the place of: the package's copy moves to `<path>.distrib` by
   * `dpkg-divert --local --rename`, after unpacking and before `files` are written. The only way to own a dpkg conffile.
   */
  readonly diversions?: readonly AbsPath[];
  readonly openPorts?: readonly OpenPort[];
  readonly dataBinds?: readonly DataBind[];
  readonly plainSecrets?: readonly PlainSecret[];
  /** In their order. */
  readonly firstBoot?: readonly FirstBootStep[];
  readonly sources?: readonly BroughtSource[];
  /** Of what a base image brings that others made, this may stay as it is; the rest is restricted. */
  readonly allowed?: Allowed;
  readonly checks?: Readonly<Record<string, Check>>;
}
