const NAMES = (
  'chown dac_override dac_read_search fowner fsetid kill setgid setuid setpcap linux_immutable net_bind_service ' +
  'net_broadcast net_admin net_raw ipc_lock ipc_owner sys_module sys_rawio sys_chroot sys_ptrace sys_pacct sys_admin ' +
  'sys_boot sys_nice sys_resource sys_time sys_tty_config mknod lease audit_write audit_control setfcap mac_override ' +
  'mac_admin syslog wake_alarm block_suspend audit_read perfmon bpf checkpoint_restore'
).split(' ');

const SIZES: Readonly<Record<number, number>> = { 1: 12, 2: 20, 3: 24 };

/** The attribute security.capability as getcap(8) writes it, e.g. "cap_net_raw=ep", and its format's version (0: damaged). */
export function capabilityText(raw: Uint8Array): { readonly text: string; readonly version: number } {
  const view = new DataView(raw.buffer, raw.byteOffset, raw.byteLength);
  const version = raw.length >= 4 ? view.getUint8(3) : 0;
  if (SIZES[version] !== raw.length) return { text: `${raw.length} damaged bytes`, version: 0 };
  const words = version === 1 ? 1 : 2;
  const effective = (view.getUint8(0) & 1) !== 0;
  const sets = new Map<string, string[]>();
  for (let bit = 0; bit < 32 * words; bit++) {
    const at = 4 + 8 * (bit >> 5);
    const has = (offset: number) => ((view.getUint32(at + offset, true) >>> (bit & 31)) & 1) !== 0;
    const flags = `${effective && (has(0) || has(4)) ? 'e' : ''}${has(4) ? 'i' : ''}${has(0) ? 'p' : ''}`;
    if (!has(0) && !has(4)) continue;
    sets.set(flags, [...(sets.get(flags) ?? []), `cap_${NAMES[bit] ?? bit}`]);
  }
  return { text: [...sets].map(([flags, names]) => `${names.join(',')}=${flags}`).join(' ') || '=', version };
}
