const cdn = 'https://cdn.jsdelivr.net https://code.jquery.com https://vjs.zencdn.net';
const sources = { self: "'self'", inline: "'self' 'unsafe-inline'", cdn: `'self' 'unsafe-inline' ${cdn}` };
/** The guide's Content-Security-Policy, with the pictures and videos that pages of AMSLPR make, and no plug-ins. */
export const contentPolicy = (from: keyof typeof sources) =>
  `default-src 'self'; script-src ${sources[from]}; style-src ${sources[from]}; img-src 'self' data: blob:; media-src 'self' blob:; worker-src 'self' blob:; font-src 'self' data:${from === 'cdn' ? ` ${cdn}` : ''}; object-src 'none'; base-uri 'self'; form-action 'self'; frame-ancestors 'self'`;

/** Two years, and browsers' own lists, only where a site asked for it: neither can be taken back for long. */
export const transportSecurity = (preload: boolean): string =>
  preload ? 'max-age=63072000; includeSubDomains; preload' : 'max-age=31536000; includeSubDomains';
