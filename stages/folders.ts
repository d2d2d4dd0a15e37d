import { built, folder } from '../src/core/shorthand.ts';
import { defineStage, Type } from '../src/core/stage.ts';
import { foldersChecks } from './folders/checks.ts';

export const folders = defineStage({
  name: 'folders',
  title: 'Make the folders and the account of AMSLPR',
  about:
    'The application runs as `amslpr`, an account that cannot log in. Code and configuration belong to root and are read-only for it; what it writes lives on the encrypted data partition. Each folder has the permissions that the guide is after, which are not always the ones in its text.',
  guide: {
    7: built('The code in /opt/amslpr belongs to root and the application cannot write there.'),
    8: built('/etc/amslpr belongs to root; the group may enter, so that the application can read its configuration.'),
    9: built('Folders 755 and files 644: `chmod -R 755` would make every data file executable.'),
    10: built(
      'config.json is 640 and root:amslpr: owned by root:root, as in the text, the application could not read it.',
    ),
    11: built(
      'The folder with the TLS key is 700 and on the encrypted data partition: nginx reads the key as root, so the group that 750 lets in would be one that nobody needs.',
    ),
    12: built('The TLS key is made on the device with mode 600; the image holds none.'),
    13: built(
      'The log folder is 750 and its files 640: `chmod -R 640` on the folder would lock everybody out of it, its owner too.',
    ),
    26: built('The database is 640 in a folder that only the application and root can enter.'),
    27: built(
      'The database belongs to the application: it could not write one that belongs to root, nor make a journal next to it.',
    ),
  },
  needs: ['data'],

  options: Type.Object({}, { additionalProperties: false }),

  contribute() {
    return {
      accounts: [{ name: 'amslpr', uid: 950, description: 'AMSLPR application', home: '/var/lib/amslpr' }],
      files: [
        folder('/opt/amslpr'),
        folder('/opt/amslpr/releases'),
        folder('/etc/amslpr', '0750', 'root:amslpr'),
        folder('/usr/lib/amslpr'),
        folder('/usr/share/amslpr'),
      ],
      dataBinds: [
        { path: '/var/lib/amslpr', name: 'amslpr', mode: '0750', owner: 'amslpr:amslpr' },
        // The group bit gives new logs to adm, whose members read logs.
        { path: '/var/log/amslpr', name: 'log-amslpr', mode: '02750', owner: 'amslpr:adm' },
        { path: '/etc/amslpr/secrets', name: 'secrets', mode: '0700', owner: 'root:root' },
      ],
      checks: foldersChecks(),
    };
  },
});
