# In the image: accounts, and files of every kind that a copy could lose.
for group in gpio i2c spi; do groupadd --system "$group"; done
useradd --create-home --shell /bin/bash --uid 1000 --user-group --groups adm,sudo,audio,video,plugdev,users,input,render,netdev,gpio,i2c,spi pi
usermod --lock pi
mkdir -p /home/pi/standin
cd /home/pi/standin
truncate -s 8M sparse; printf start | dd of=sparse conv=notrunc status=none; printf end | dd of=sparse bs=1 seek=5000000 conv=notrunc status=none
echo linked > one; ln one two; ln -s ../none dangling; mkfifo pipe
echo acl > acl; setfacl -m u:33:rw,g:4:r acl; mkdir shared; setfacl -d -m u:33:rwx shared
cp /usr/bin/true capable
echo attribute > attribute; python3 -c 'import os; os.setxattr("attribute", "user.note", b"a note")'
touch -d '2001-02-03 04:05:06.123456789 UTC' old
chmod 2751 shared; chown -R 1000:1000 .
setcap cap_net_bind_service+ep capable
