import { WeftError } from '#model/error.ts';

/** offset and size of a struct member, in bytes. */
export type Member = { name: string; offset: number; size: number };

type BtfType = {
  name: string;
  kind: number;
  size: number;
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

/** The `.BTF` section of an ELF object (64-bit little-endian). Errors: WEFT_BTF when there is none. */
export function btfSection(elf: Buffer): Buffer {
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
  throw new WeftError('WEFT_BTF', 'the eBPF object has no .BTF section', { remedy: 'compile it with clang -g' });
}

/** The members of every named struct, as the compiler laid them out. Source: the kernel's BTF format. */
export function structsOf(btf: Buffer): Map<string, { size: number; members: Member[] }> {
  const types = readTypes(btf);
  const structs = new Map<string, { size: number; members: Member[] }>();
  for (const type of types) {
    if (type.kind !== KIND.struct || type.name === '') continue;
    const members = type.members.map(({ name, type: id, offset }) => ({ name, offset, size: sizeOf(types, id) }));
    structs.set(type.name, { size: type.size, members });
  }
  return structs;
}

/** Name → value of every enumerator. */
export function enumeratorsOf(btf: Buffer): Map<string, number> {
  const values = new Map<string, number>();
  for (const type of readTypes(btf)) {
    if (type.kind === KIND.enum) for (const { name, offset } of type.members) values.set(name, offset);
  }
  return values;
}

function sizeOf(types: BtfType[], id: number): number {
  const type = types[id];
  if (type === undefined) throw new WeftError('WEFT_BTF', `BTF type ${id} does not exist`);
  if (type.kind === KIND.array) return type.elements * sizeOf(types, type.members[0]?.type ?? 0);
  if (type.kind === KIND.typedef || type.kind === KIND.volatile || type.kind === KIND.const) return sizeOf(types, type.size);
  return type.kind === KIND.pointer ? 8 : type.size;
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
  const types: BtfType[] = [{ name: '', kind: 0, size: 0, members: [], elements: 0 }];
  for (let at = typesAt; at < typesEnd; ) {
    const info = btf.readUInt32LE(at + 4);
    const kind = (info >>> 24) & 0x1f;
    const length = info & 0xffff;
    const bitfields = info >>> 31 === 1;
    const type: BtfType = { name: text(btf.readUInt32LE(at)), kind, size: btf.readUInt32LE(at + 8), members: [], elements: 0 };
    at += 12;
    if (kind === KIND.array) {
      type.members.push({ name: '', type: btf.readUInt32LE(at), offset: 0 });
      type.elements = btf.readUInt32LE(at + 8);
    }
    for (let index = 0; index < length; index++) {
      if (kind === KIND.struct || kind === KIND.union) {
        const member = at + index * 12;
        const offset = btf.readUInt32LE(member + 8) & (bitfields ? 0xffffff : 0xffffffff);
        type.members.push({
          name: text(btf.readUInt32LE(member)),
          type: btf.readUInt32LE(member + 4),
          offset: (offset >>> 0) / 8,
        });
      } else if (kind === KIND.enum) {
        type.members.push({ name: text(btf.readUInt32LE(at + index * 8)), type: 0, offset: btf.readInt32LE(at + index * 8 + 4) });
      }
    }
    at += 4 * extraWords(kind, length);
    types.push(type);
  }
  return types;
}
