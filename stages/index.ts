import type { AnyStage } from '../src/core/stage.ts';
import { accounts } from './accounts.ts';
import { aide } from './aide.ts';
import { apparmor } from './apparmor.ts';
import { application } from './application.ts';
import { auditing } from './auditing.ts';
import { backup } from './backup.ts';
import { baseSystem } from './base-system.ts';
import { bootFiles } from './boot-files.ts';
import { centralLogs } from './central-logs.ts';
import { data } from './data.ts';
import { fail2ban } from './fail2ban.ts';
import { firewall } from './firewall.ts';
import { firstBoot } from './first-boot.ts';
import { folders } from './folders.ts';
import { incident } from './incident.ts';
import { integrity } from './integrity.ts';
import { journal } from './journal.ts';
import { kernel } from './kernel.ts';
import { mdns } from './mdns.ts';
import { monitoring } from './monitoring.ts';
import { mounts } from './mounts.ts';
import { network } from './network.ts';
import { nginx } from './nginx.ts';
import { raspberryPiOs } from './raspberry-pi-os.ts';
import { rescue } from './rescue.ts';
import { services } from './services.ts';
import { site } from './site.ts';
import { sshd } from './sshd.ts';
import { tls } from './tls.ts';
import { updates } from './updates.ts';
import { usb } from './usb.ts';

/** The guide's contents: every stage in its order. */
export const stages: readonly AnyStage[] = [
  // The operating system
  baseSystem,
  updates,
  accounts,
  sshd,
  firewall,
  fail2ban,
  services,
  kernel,
  usb,
  mounts,
  journal,
  network,
  mdns,

  // Files, application, web
  data,
  folders,
  monitoring,
  application,
  tls,
  nginx,
  apparmor,
  auditing,
  backup,
  centralLogs,
  integrity,
  aide,

  // What the card and the first boot bring
  firstBoot,
  site,
  rescue,
  incident,
  bootFiles,
  raspberryPiOs,
];
