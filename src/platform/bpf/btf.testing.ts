/** A place inside a struct, in bytes, and what C calls its type. */
type Member = { name: string; offset: number; size: number; type: string };

/** A struct as the compiler laid it out. */
export type BtfStruct = { size: number; members: Member[] };

/** A map as its definition says; `type` is the kernel's number of the map type, sizes are in bytes. */
export type BtfMapDefinition = {
  type: number;
  entriesMax: number;
  flags: number;
  key: { type: string; size: number };
  value: { type: string; size: number };
};

type BtfType = {
  name: string;
  kind: number;
  /** Bytes of a sized type; the id of the type that a pointer, typedef, qualifier or variable stands for. */
  sizeOrType: number;
  /** Of a struct or section: type and offset in bytes. Of an enum: offset is the enumerator's number. */
  members: { name: string; type: number; offset: number }[];
  elements: number;
};

const KIND = {
  int: 1,
  pointer: 2,
  array: 3,
  struct: 4,
  union: 5,
  enum: 6,
  typedef: 8,
  volatile: 9,
  const: 10,
  function: 12,
  prototype: 13,
  variable: 14,
  section: 15,
  declTag: 17,
  enum64: 19,
} as const;

/**
 * What one compiled object says of its types. Source: the kernel's BTF format, of a 64-bit little-endian ELF file, as
 * clang -g writes it. Errors: when the object has none.
 */
export class Btf {
  readonly #types: readonly BtfType[];

  constructor(elf: Buffer) {
    this.#types = readTypes(btfSection(elf));
  }

  /** Every named struct. */
  structs(): Map<string, BtfStruct> {
    const found = new Map<string, BtfStruct>();
    for (const { kind, name, sizeOrType, members } of this.#types) {
      if (kind !== KIND.struct || name === '') continue;
      const places = members.map((one) => ({ name: one.name, offset: one.offset, ...this.#described(one.type) }));
      found.set(name, { size: sizeOrType, members: places });
    }
    return found;
  }

  /** Every named enum: enumerator → number. */
  enums(): Map<string, Map<string, number>> {
    const found = new Map<string, Map<string, number>>();
    for (const { kind, name, members } of this.#types) {
      if (kind === KIND.enum && name !== '') found.set(name, new Map(members.map((one) => [one.name, one.offset])));
    }
    return found;
  }

  /** Every map of the section `.maps`: numbers are told as lengths of arrays, types as pointers to them. */
  maps(): Map<string, BtfMapDefinition> {
    const found = new Map<string, BtfMapDefinition>();
    const section = this.#types.find(({ kind, name }) => kind === KIND.section && name === '.maps');
    for (const { type } of section?.members ?? []) {
      const variable = this.#at(type);
      const fields = new Map(this.#at(variable.sizeOrType).members.map((one) => [one.name, this.#at(one.type).sizeOrType]));
      const number = (field: string): number => this.#at(fields.get(field) ?? 0).elements;
      const described = (field: string) => this.#described(fields.get(field) ?? 0);
      found.set(variable.name, {
        type: number('type'),
        entriesMax: number('max_entries'),
        flags: number('map_flags'),
        key: described('key'),
        value: described('value'),
      });
    }
    return found;
  }

  #at(id: number): BtfType {
    const type = this.#types[id];
    if (type === undefined) throw new Error(`BTF type ${id} does not exist`);
    return type;
  }

  #described(id: number): { type: string; size: number } {
    const { kind, name, sizeOrType, members, elements } = this.#at(id);
    switch (kind) {
      case KIND.typedef:
        return { type: name, size: this.#described(sizeOrType).size };
      case KIND.volatile:
      case KIND.const:
        return this.#described(sizeOrType);
      case KIND.pointer:
        return { type: `${this.#described(sizeOrType).type} *`, size: 8 };
      case KIND.array: {
        const element = this.#described(members[0]?.type ?? 0);
        return { type: `${element.type}[${elements}]`, size: elements * element.size };
      }
      case KIND.struct:
        return { type: `struct ${name}`, size: sizeOrType };
      case KIND.enum:
        return { type: `enum ${name}`, size: sizeOrType };
      default:
        return { type: name === '' ? 'void' : name, size: sizeOrType };
    }
  }
}

function btfSection(elf: Buffer): Buffer {
  const sectionTable = Number(elf.readBigUInt64LE(0x28));
  const sectionSize = elf.readUInt16LE(0x3a);
  const sectionCount = elf.readUInt16LE(0x3c);
  const header = (index: number): number => sectionTable + index * sectionSize;
  const namesAt = Number(elf.readBigUInt64LE(header(elf.readUInt16LE(0x3e)) + 0x18));
  for (let index = 0; index < sectionCount; index++) {
    const at = header(index);
    const nameAt = namesAt + elf.readUInt32LE(at);
    const start = Number(elf.readBigUInt64LE(at + 0x18));
    if (elf.toString('latin1', nameAt, nameAt + 5) === '.BTF\0')
      return elf.subarray(start, start + Number(elf.readBigUInt64LE(at + 0x20)));
  }
  throw new Error('the eBPF object has no .BTF section: compile it with clang -g');
}

/** Words of 4 bytes that follow a type record, by kind. */
function extraWords(kind: number, length: number): number {
  switch (kind) {
    case KIND.int:
    case KIND.variable:
    case KIND.declTag:
      return 1;
    case KIND.array:
      return 3;
    case KIND.struct:
    case KIND.union:
    case KIND.section:
    case KIND.enum64:
      return 3 * length;
    case KIND.enum:
    case KIND.prototype:
      return 2 * length;
    default:
      return 0;
  }
}

function readTypes(btf: Buffer): BtfType[] {
  const headerBytes = btf.readUInt32LE(4);
  const typesAt = headerBytes + btf.readUInt32LE(8);
  const typesEnd = typesAt + btf.readUInt32LE(12);
  const stringsAt = headerBytes + btf.readUInt32LE(16);
  const text = (offset: number): string => btf.toString('latin1', stringsAt + offset, btf.indexOf(0, stringsAt + offset));
  const types: BtfType[] = [{ name: '', kind: 0, sizeOrType: 0, members: [], elements: 0 }];
  for (let at = typesAt; at < typesEnd; ) {
    const info = btf.readUInt32LE(at + 4);
    const kind = (info >>> 24) & 0x1f;
    const length = info & 0xffff;
    const type: BtfType = {
      name: text(btf.readUInt32LE(at)),
      kind,
      sizeOrType: btf.readUInt32LE(at + 8),
      members: [],
      elements: 0,
    };
    at += 12;
    if (kind === KIND.array) {
      type.members.push({ name: '', type: btf.readUInt32LE(at), offset: 0 });
      type.elements = btf.readUInt32LE(at + 8);
    } else {
      for (let index = 0; index < length; index++) {
        const member = memberAt(btf, kind, at, index, info >>> 31 === 1);
        if (member !== null) type.members.push({ name: text(member.name), type: member.type, offset: member.offset });
      }
    }
    at += 4 * extraWords(kind, length);
    types.push(type);
  }
  return types;
}

function memberAt(btf: Buffer, kind: number, at: number, index: number, bitfields: boolean) {
  const word = (offset: number): number => btf.readUInt32LE(at + offset);
  if (kind === KIND.struct || kind === KIND.union) {
    const bits = word(index * 12 + 8);
    return { name: word(index * 12), type: word(index * 12 + 4), offset: (bitfields ? bits & 0xffffff : bits) / 8 };
  }
  if (kind === KIND.section) return { name: 0, type: word(index * 12), offset: word(index * 12 + 4) };
  if (kind === KIND.enum) return { name: word(index * 8), type: 0, offset: btf.readInt32LE(at + index * 8 + 4) };
  return null;
}
