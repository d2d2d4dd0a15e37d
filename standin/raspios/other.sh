# In the image: the same facts with other choices than those of the other scripts.
userdel --remove pi
useradd --create-home --shell /bin/bash --uid 1001 --user-group --groups sudo,adm,netdev field
mkdir /home/field/.ssh; echo 'ssh-ed25519 AAAA field' > /home/field/.ssh/authorized_keys; chown -R field: /home/field
mkdir -p /srv/field && chown field: /srv/field
echo '%sudo ALL=(ALL:ALL) NOPASSWD: ALL' > /etc/sudoers.d/zz-field; chmod 440 /etc/sudoers.d/zz-field
for unit in userconfig sshswitch; do
  systemctl disable $unit.service
  cp /usr/lib/systemd/system/$unit.service /etc/systemd/system/
  systemctl enable $unit.service
done
cat > /etc/systemd/system/field.service <<END
[Service]
ExecStart=/usr/local/bin/field
[Install]
WantedBy=multi-user.target
END
cp /usr/bin/true /usr/local/bin/field; chmod 4755 /usr/local/bin/field; setcap cap_sys_admin+ep /usr/local/bin/field; chmod 4755 /usr/local/bin/field
systemctl enable field.service
uri=$(sed -n 's/^URIs: *//p' /etc/apt/sources.list.d/raspi.sources)
echo "deb [arch=arm64 signed-by=/usr/share/keyrings/raspberrypi-archive-keyring.pgp] $uri trixie main" > /etc/apt/sources.list.d/raspi.list
rm /etc/apt/sources.list.d/raspi.sources
rm -f /var/lib/apt/extended_states
apt-mark hold raspi-firmware
printf '#!/bin/sh\nexit 0\n' > /etc/rc.local; chmod 755 /etc/rc.local
truncate -s 1M /var/swap
echo 'changed' >> /usr/share/perl5/Debconf/Config.pm
sed -i 's/^#PermitRootLogin.*/PermitRootLogin yes/' /etc/ssh/sshd_config
mkdir -p /etc/NetworkManager/system-connections
printf '[wifi-security]\npsk=secret\n' > /etc/NetworkManager/system-connections/preconfigured.nmconnection
chmod 600 /etc/NetworkManager/system-connections/*
touch /boot/firmware/ssh; echo 'field:!' > /boot/firmware/userconf.txt
