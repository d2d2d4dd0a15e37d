import { defaultPasswords, passwdConsistency } from './accounts.ts';
import { cmdline, fstab, partitions } from './boot.ts';
import { capabilities } from './capabilities.ts';
import { foreignElf } from './foreign-elf.ts';
import { knownLeaks } from './known-leaks.ts';
import { leftovers } from './leftovers.ts';
import { conffiles, packageFiles } from './packaged.ts';
import { fileOwners, suid, worldWritable } from './permissions.ts';
import type { Scan } from './scan.ts';
import { enabledUnits, unitPrograms } from './units.ts';
import { updateOrigins } from './update-origins.ts';

/**
 * Every scan that a check of kind `scan` can name, and what it takes in `with`. A path pattern may hold `*` (one path
 * component or a part of one) and `**` (any number of components); all parameters are optional unless said.
 *
 * | scan | proves | `with` |
 * | --- | --- | --- |
 * | `suid` | every SUID or SGID file is expected | `allow`: path patterns |
 * | `world-writable` | no file and no directory without sticky bit is writable by all | `allow`: path patterns |
 * | `capabilities` | file capabilities are the expected ones, in version 2 form, and all of these are there | `allow`: record of path to text, e.g. `cap_net_raw=ep` |
 * | `file-owners` | every owner and group of a file has a name in passwd and group | `allow`: path patterns |
 * | `passwd-consistency` | passwd, shadow, group and gshadow agree; only root has uid 0; no person has an account | `allow`: accounts with uid 1000 or more |
 * | `default-passwords` | no account has a password that can be used | |
 * | `leftovers` | nothing of the build or of one device: host keys, machine-id, seeds, private keys, authorized_keys, shell history, apt lists, logs, resolv.conf, policy-rc.d | `allow`: path patterns; `strings`: texts (such as a build folder) that no configuration file may hold |
 * | `known-leaks` | none of AMSLPR's published secrets, by name and SHA-256 | `names`, `sha256`: more of them |
 * | `foreign-elf` | every ELF file, in the initramfs too, is for aarch64 | `allow`: path patterns (default: firmware) |
 * | `package-files` | every packaged file has the MD5 that its package recorded | `allow`: patterns of files that may differ; `missing`: patterns of files that may be gone (default: documentation, translations) |
 * | `conffiles` | every dpkg conffile is the packaged one | `allow`: path patterns |
 * | `enabled-units` | what *.wants and *.requires folders below /etc/systemd/system start is expected and exists | `allow` (required): names or patterns of units |
 * | `unit-programs` | every program that a unit below /etc/systemd/system starts is there and executable | `allow`: names of units |
 * | `cmdline` | cmdline.txt is one line, has the arguments, no `resize`, no `init=`, and root= is this image's second partition | `arguments`: words that must be there; `lacks`: words that must not |
 * | `fstab` | every PARTUUID in fstab is a partition of this image | |
 * | `partitions` | MBR: 1 FAT32, 2 Linux, 3 and 4 empty; 4 MiB alignment; fits the card | `maxBytes`: default 3880000000 (a small 4 GB card) |
 * | `update-origins` | unattended-upgrades has a pattern of another origin when the image has archives that are not Debian's | |
 */
export const scans: Readonly<Record<string, Scan>> = {
  suid,
  'world-writable': worldWritable,
  capabilities,
  'file-owners': fileOwners,
  'passwd-consistency': passwdConsistency,
  'default-passwords': defaultPasswords,
  leftovers,
  'known-leaks': knownLeaks,
  'foreign-elf': foreignElf,
  'package-files': packageFiles,
  conffiles,
  'enabled-units': enabledUnits,
  'unit-programs': unitPrograms,
  cmdline,
  fstab,
  partitions,
  'update-origins': updateOrigins,
};
