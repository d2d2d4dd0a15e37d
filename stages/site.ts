import { absent, file, text } from '../src/core/shorthand.ts';
import { defineStage, Type } from '../src/core/stage.ts';
import { textOf } from '../src/core/values.ts';

const SIGNERS = '/usr/share/amslpr/site-signers';

export const site = defineStage({
  name: 'site',
  title: 'Say whose site files the device takes',
  about:
    'Without `signers` the device takes any good site file: whoever holds the card could change the system on it anyway. With them it takes only files that one of these keys signed, which keeps a mistaken or foreign file from being taken; it fails closed, with the reason in STATUS.TXT. Sign with `personalize --sign KEY`, or with `ssh-keygen -Y sign -f KEY -n amslpr-site site.yaml`.',
  guide: {},
  needs: ['first-boot'],

  options: Type.Object(
    {
      signers: Type.Array(textOf('ed25519Key'), {
        maxItems: 16,
        default: [],
        description:
          'Keys whose signed site files alone are taken: of each line `ssh-ed25519 AAAA… name` in KEY.pub the second word.',
      }),
    },
    { additionalProperties: false },
  ),

  contribute({ signers }) {
    if (signers.length === 0) {
      return { checks: { signers: absent('Site files need no signature', SIGNERS) } };
    }
    const lines = signers.map((key) => `site namespaces="amslpr-site" ssh-ed25519 ${key}\n`);
    return {
      files: [text(SIGNERS, lines.join(''))],
      checks: {
        signers: file('Only site files that these keys signed are taken', SIGNERS, {
          mode: '0644',
          owner: 'root:root',
          matches: new RegExp(`^${lines.join('').replace(/[+/]/g, '\\$&')}$`),
        }),
      },
    };
  },
});
