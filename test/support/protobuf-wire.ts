// Protobuf by hand, for tests that must not trust our own codec: field numbers and wire types, nothing else.

/** A field whose payload is bytes: wire type 2. */
export function field(number: number, payload: string | Buffer | readonly Buffer[]): Buffer {
  const bytes = Array.isArray(payload) ? Buffer.concat(payload) : Buffer.from(payload as string);
  return Buffer.concat([varint((number << 3) | 2), varint(bytes.length), bytes]);
}

/** A field that is a number: wire type 0. */
export function numberField(number: number, value: number): Buffer {
  return Buffer.concat([varint(number << 3), varint(value)]);
}

function varint(value: number): Buffer {
  const bytes: number[] = [];
  let left = value;
  for (; left > 0x7f; left = Math.floor(left / 128)) bytes.push((left % 128) | 0x80);
  return Buffer.from([...bytes, left]);
}

/** The fields of a message by number, in their order: bytes, or a number. */
export class Fields {
  readonly #values = new Map<number, (Buffer | number)[]>();

  constructor(message: Buffer) {
    let at = 0;
    const next = (): number => {
      for (let value = 0, factor = 1; ; factor *= 128) {
        const byte = message[at++];
        if (byte === undefined) throw new RangeError('the message is cut');
        value += (byte & 0x7f) * factor;
        if (byte < 0x80) return value;
      }
    };
    while (at < message.length) {
      const tag = next();
      const type = tag & 7;
      if (type !== 0 && type !== 2) throw new RangeError(`wire type ${type}`);
      let value: Buffer | number = next();
      if (type === 2) value = message.subarray(at, (at += value));
      const number = Math.floor(tag / 8);
      this.#values.set(number, [...(this.#values.get(number) ?? []), value]);
    }
  }

  get numbers(): readonly number[] {
    return [...this.#values.keys()].sort((a, b) => a - b);
  }

  all(number: number): readonly Buffer[] {
    return (this.#values.get(number) ?? []).filter((value) => typeof value !== 'number');
  }

  bytes(number: number): Buffer {
    return this.all(number)[0] ?? Buffer.alloc(0);
  }

  text(number: number): string {
    return this.bytes(number).toString();
  }

  texts(number: number): readonly string[] {
    return this.all(number).map((value) => value.toString());
  }

  number(number: number): number {
    const [value] = this.#values.get(number) ?? [];
    return typeof value === 'number' ? value : 0;
  }

  message(number: number): Fields {
    return new Fields(this.bytes(number));
  }
}
