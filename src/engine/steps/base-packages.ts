import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { StepError } from '../../core/errors.ts';
import type { Layer } from '../../host/layer.ts';
import { type BuildContext, inToolbox, onTop } from '../context.ts';
import type { Lock, LockedBase } from '../lock.ts';
import { POLICY, withApt } from './apt.ts';
import { CLAMP_UPPER, CLEAN, refuseOthers } from './packages.ts';

/** Name and version of everything that must be installed in the end. */
export function wantedOnBase({ image }: Pick<Lock, 'image'>, base: LockedBase): { name: string; version: string }[] {
  const removed = new Set(base.removed);
  const renewed = new Set(image.packages.map(({ name }) => name));
  const kept = base.installed.flatMap((line) => {
    const [name = '', version = '', architecture = ''] = line.split(' ');
    const gone =
      removed.has(name) || removed.has(`${name}:${architecture}`) || !['arm64', 'all'].includes(architecture);
    return gone || renewed.has(name) ? [] : [{ name, version }];
  });
  return [...kept, ...image.packages.map(({ name, version }) => ({ name, version }))];
}

// An initramfs that is there would be made again at every trigger; the next layer makes all of them, once.
const BEFORE = `
cd /tmp/image
rm -f boot/initrd.img-* boot/firmware/initramfs* boot/firmware/initrd*
rm -f etc/resolv.conf
${POLICY}`;

// In the image. Accounts of people go with their homes: devices make their own. What belonged to them elsewhere is root's.
const INSTALL = `
wish=$1; extra=$2
dpkg --get-selections | awk '$2 == "hold" { print $1 " install" }' | dpkg --set-selections
[ -z "$wish" ] || apt-get --quiet=2 --yes --purge --reinstall --allow-downgrades --allow-remove-essential --allow-change-held-packages install $wish
rest=$(dpkg-query --show --showformat '\${db:Status-Abbrev} \${binary:Package}\\n' | sed -n 's/^rc *//p')
[ -z "$rest" ] || dpkg --purge $rest
for architecture in $(dpkg --print-foreign-architectures); do dpkg --remove-architecture "$architecture"; done
[ -z "$extra" ] || apt-mark auto $extra > /dev/null
awk -F: '$3 >= 1000 && $3 < 60000 { print $1 " " $6 }' /etc/passwd | while read -r name home; do
  userdel --force "$name" || true
  case $home in /home/*) rm -rf "$home" ;; esac
done
awk -F: '$3 >= 1000 && $3 < 60000 { print $1 }' /etc/group | while read -r name; do groupdel "$name" || true; done
find / -xdev '(' -nouser -o -nogroup ')' -exec chown -h root:root {} +
`;

// What Raspberry Pi OS, its Imager or cloud-init would read at the first boot, and what the build of the image left.
const AFTER = `
cd /tmp/image/boot/firmware
rm -f ssh ssh.txt userconf userconf.txt user-data meta-data network-config vendor-data wpa_supplicant.conf firstrun.sh custom.toml rpi-preseed.toml
cd /tmp/image
rm -rf etc/cloud var/lib/cloud etc/netplan/*.yaml etc/network/interfaces.d/* var/lib/userconf-pi
rm -f etc/NetworkManager/system-connections/* etc/ssh/sshd_config.d/rename_user.conf etc/ssh/sshd_config.d/*cloud*
rm -f etc/xdg/autostart/piwiz.desktop etc/systemd/system/getty@tty1.service.d/autologin.conf
rm -f etc/machine-id.* root/.*_history root/.wget-hsts root/.lesshst root/.viminfo
rm -f var/swap swapfile etc/rc.local etc/wpa_supplicant/wpa_supplicant*.conf var/spool/cron/crontabs/*
rm -rf root/.ssh var/lib/systemd/credential.secret var/lib/NetworkManager/* var/lib/dhcpcd var/lib/bluetooth
find root home etc -xdev '(' -name authorized_keys -o -name authorized_keys2 ')' -delete
find etc -xdev '(' -name '*.dpkg-old' -o -name '*.dpkg-dist' -o -name '*.ucf-old' -o -name '*.ucf-dist' ')' -delete
# Settings that name the root device of another build; ours are written later.
sed -i '/^\\s*\\(MODULES\\|RESUME\\|FSTYPE\\|ROOT\\)=/d' etc/initramfs-tools/conf.d/* 2>/dev/null || true
dangling=$(find etc/systemd/system -xtype l -path '*.wants/*' -o -xtype l -path '*.requires/*')
for link in $dangling; do
  target=$(readlink "$link")
  case $target in /*) [ -e ".$target" ] || rm "$link" ;; esac
done
# A package's file is diverted, since dpkg would bring it back; any other is removed.
away() {
  if grep -qxF "/$1" var/lib/dpkg/info/*.list; then
    mkdir -p "usr/share/amslpr/diverted/\${1%/*}"
    dpkg-divert --quiet --root=/tmp/image --local --rename --divert "/usr/share/amslpr/diverted/$1" --add "/$1"
  else
    rm "$1"
  fi
}
# Rules that let sudo through, and what grows the root or changes the disk signature in the initramfs.
chown root:root etc/sudoers.d/* && chmod 440 etc/sudoers.d/*
grep -lsE '^[^#]*NOPASSWD' etc/sudoers.d/* | while read -r file; do away "$file"; done
find usr/share/initramfs-tools/scripts etc/initramfs-tools/scripts -type f '(' -name resize_early -o -name set_partuuid ')' | while read -r file; do away "$file"; done
`;

/** Makes of the base image's packages those that the lock lists: newer ones, more, fewer; and takes out what is personal. */
export async function installOnBase(context: BuildContext, below: readonly Layer[], upper: string): Promise<void> {
  const { lock } = context;
  const { base } = lock;
  if (base === undefined) throw new TypeError('a lock without a base');
  const stack = onTop(below, upper);
  await inToolbox(context, BEFORE, stack);
  const architectures = [...new Set(['arm64', ...base.installed.map((line) => line.split(' ')[2] ?? '')])];
  const wish = [
    ...lock.image.packages.map(({ name, version }) => `${name}=${version}`),
    ...base.removed.map((name) => `${name}-`),
  ];
  const before = new Set(base.installed.map((line) => line.split(' ')[0]));
  const extra = lock.image.packages
    .map(({ name }) => name)
    .filter((name) => !before.has(name) && !lock.image.requested.includes(name));
  await withApt(context, stack, INSTALL, {
    architectures: architectures.filter((name) => name !== 'all'),
    args: [wish.join(' '), extra.join(' ')],
  });
  await inToolbox(context, `${CLEAN}${AFTER}${CLAMP_UPPER}`, stack, {
    mounts: [{ kind: 'bind', source: join(upper, 'fs'), target: '/tmp/upper' }],
  });
  refuseOthers(wantedOnBase(lock, base), readFileSync(join(upper, 'fs', 'var/lib/dpkg/status'), 'utf8'));
}

// The hooks of Raspberry Pi's firmware package put kernel and initramfs on the boot partition; where they did not, by the
// names that the firmware looks for. The newest kernel of a flavour is the last.
const KERNELS = `
cd /tmp/image/boot
same() { for other in firmware/*; do [ ! -f "$other" ] || ! cmp -s "$1" "$other" || return 0; done; return 1; }
count=0
for flavour in 2712 v8; do
  case $flavour in
    2712) versions=$(ls | sed -n 's/^vmlinuz-\\(.*2712\\)$/\\1/p'); kernel=kernel_2712.img; initramfs=initramfs_2712 ;;
    *) versions=$(ls | sed -n 's/^vmlinuz-//p' | grep -v 2712 | grep -E '(v8|arm64)$' || true); kernel=kernel8.img; initramfs=initramfs8 ;;
  esac
  newest=$(printf '%s\\n' $versions | sort -V | tail -n 1)
  [ -n "$newest" ] || continue
  count=$((count + 1))
  [ -f "initrd.img-$newest" ] || { echo "no initramfs was made for the kernel $newest"; exit 1; }
  same "initrd.img-$newest" || cp "initrd.img-$newest" "firmware/$initramfs"
  gzip -dc "vmlinuz-$newest" > /tmp/kernel 2>/dev/null || cp "vmlinuz-$newest" /tmp/kernel
  same "vmlinuz-$newest" || same /tmp/kernel || cp "vmlinuz-$newest" "firmware/$kernel"
done
[ "$count" -gt 0 ] || { echo 'the base image has no kernel in /boot that a 64-bit Raspberry Pi would start'; exit 1; }
`;

/** After the initramfs files were made: all kernels with theirs are on the boot partition. */
export async function placeKernels(context: BuildContext, below: readonly Layer[], upper: string): Promise<void> {
  await inToolbox(context, KERNELS, onTop(below, upper));
}

/** A shell pattern of a `case` for names of units or paths, which hold nothing that has a meaning there but `*`. */
const anyOf = (names: readonly string[]): string => {
  const bad = names.filter((name) => !/^[A-Za-z0-9:_.@*/+-]+$/.test(name));
  if (bad.length > 0) throw new StepError(`not a name or pattern: ${bad.join(' ')}`);
  return names.length === 0 ? "''" : names.join('|');
};

/**
 * Lines of a script, run after the plan's files: what the base brings and the plan does not allow loses what makes it
 * dangerous. Programs keep no set-user-id bit and no capability, units are not started at boot; config.txt gets our lines.
 */
export function restrictBase({ plan }: Pick<BuildContext, 'plan'>): string[] {
  if (plan.base.kind !== 'raspios') return [];
  const enabled = Object.keys(plan.units).filter((name) => plan.units[name] === 'enabled');
  const masked = Object.keys(plan.units).filter((name) => plan.units[name] === 'masked');
  const units = [...(plan.allowed?.units ?? []), ...enabled];
  const lines = plan.configTxt.map((line) => `'${line}'`).join(' ');
  return [
    `cd /tmp/image
find . -xdev -type f -perm /6000 -printf '%m #%U #%G %P\\n' | while read -r mode user group path; do
  case /$path in ${anyOf([...(plan.allowed?.setuid ?? [])])}) continue ;; esac
  dpkg-statoverride --root=/tmp/image --force-statoverride-add --update --add "$user" "$group" "0\${mode#?}" "/$path"
done
getcap -r . 2>/dev/null | sed 's/ cap_.*//' | while read -r path; do setcap -r "$path"; done
for unit in ${masked.join(' ')}; do
  [ -L "etc/systemd/system/$unit" ] || rm -rf "etc/systemd/system/$unit"
done
find etc/systemd/system -type l '(' -path '*.wants/*' -o -path '*.requires/*' -o -path '*.upholds/*' ')' | while read -r link; do
  case \${link##*/} in ${anyOf(units)}) ;; *) rm "$link" ;; esac
done
config=boot/firmware/config.txt
[ -f "$config" ] || : > "$config"
grep -qE '^(auto_initramfs=1|initramfs )' "$config" || printf '\\n[all]\\nauto_initramfs=1\\n' >> "$config"
printf '%s\\n' '' '[all]' '# Set by the build of this image' ${lines} >> "$config"
cd /`,
  ];
}
