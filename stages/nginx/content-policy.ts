const cdn = 'https://cdn.jsdelivr.net https://code.jquery.com https://vjs.zencdn.net';
const sources = { self: "'self'", inline: "'self' 'unsafe-inline'", cdn: `'self' 'unsafe-inline' ${cdn}` };
/** The guide's Content-Security-Policy with what pages of AMSLPR need besides, and nothing that plug-ins or frames of others need. */
export const contentPolicy = (from: keyof typeof sources) =>
  `default-src 'self'; script-src ${sources[from]}; style-src ${sources[from]}; img-src 'self' data: blob:; media-src 'self' blob:; worker-src 'self' blob:; font-src 'self' data:${from === 'cdn' ? ` ${cdn}` : ''}; object-src 'none'; base-uri 'self'; form-action 'self'; frame-ancestors 'self'`;
