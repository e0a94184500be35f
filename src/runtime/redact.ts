// The last look at text that leaves the process: whatever put a key or a token into it, it does not get out. Nobody
// should rely on this; it is for the object that was logged by mistake and for the library that quotes its input.

/** Cheap to look for: most lines have none of these and are done. */
const suspicious =
  /PRIVATE KEY|eyJ|[Bb]earer |"Buffer"|(?:[Pp]rivate|[Aa]ccess)_?[Kk]ey|[Kk]ey_?[Pp]em|[Tt]oken|[Pp]assword|[Ss]ecret|[Aa]uthorization/;

const rules: readonly (readonly [RegExp, string])[] = [
  // A PEM block, its newlines as they are or escaped by JSON; also one that is cut off.
  [
    /-----BEGIN (?:[A-Z0-9]+ )*PRIVATE KEY-----(?:(?!-----END )[^"])*(?:-----END (?:[A-Z0-9]+ )*PRIVATE KEY-----)?/g,
    '[private key]',
  ],
  // A signed JSON web token: what a service account presents.
  [/\beyJ[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]*/g, '[token]'],
  [/\b([Bb]earer )[A-Za-z0-9._~+/=-]{8,}/g, '$1[token]'],
  // Bytes in a log line or an answer are of no use to people, and may be a key in DER.
  [/\{\s*"type":\s*"Buffer",\s*"data":\s*\[[\d,\s]*\]\s*\}/g, '"[bytes]"'],
  // Fields that are secret by their name.
  [
    /("(?:[A-Za-z_]*(?:[Pp]rivate_?[Kk]ey|[Kk]ey_?[Pp]em|[Aa]ccess_?[Tt]oken)[A-Za-z_]*|token|password|secret|authorization)"\s*:\s*)"(?:[^"\\]|\\.)*"/g,
    '$1"[redacted]"',
  ],
];

/** `text` without private keys, bearer tokens and the like. JSON stays JSON. */
export function redactSecrets(text: string): string {
  if (!suspicious.test(text)) return text;
  return rules.reduce((redacted, [pattern, replacement]) => redacted.replace(pattern, replacement), text);
}
