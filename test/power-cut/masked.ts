/** Units that no step of the first boot waits for; without them a boot takes a third of the time. */
export const MASKED: readonly string[] = [
  // The network, and who may use it: no cut is about them, and nobody logs in.
  ...['NetworkManager', 'NetworkManager-wait-online', 'ssh', 'ufw', 'fail2ban', 'systemd-timesyncd', 'wpa_supplicant'],
  // The application and what stands before it.
  ...['nginx', 'amslpr', 'amslpr-console', 'amslpr-reboot-minute'],
  // Upkeep.
  ...['auditd', 'unattended-upgrades', 'apt-daily', 'apt-daily-upgrade', 'e2scrub_reap', 'cron', 'systemd-logind'],
].map((name) => `${name}.service`);
