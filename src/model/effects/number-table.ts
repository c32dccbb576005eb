/** What a table may hold: each member knows who follows it in its row. */
export type Numbered<Member> = {
  readonly id: number;
  /** Only tables read or write it. */
  next: Member | null;
};

const ROWS_MIN = 16;

/**
 * Finds what comes and goes with each connection by a number, of which several may have the same. As a roster it is no `Map`, whose
 * dead tables would lead the garbage collector from one to the next; it grows by doubling, and keeps its size.
 */
export class NumberTable<Member extends Numbered<Member>> {
  size = 0;
  #rows: (Member | null)[] = new Array<Member | null>(ROWS_MIN).fill(null);

  add(member: Member): void {
    if (this.size >= this.#rows.length) this.#grow();
    this.size++;
    put(this.#rows, member);
  }

  /** The one with this number that was added last; null: there is none. */
  get(id: number): Member | null {
    return withNumber(this.#rows[id & (this.#rows.length - 1)] ?? null, id);
  }

  /** The one with the same number that was added before this one; null: there is none. */
  before(member: Member): Member | null {
    return withNumber(member.next, member.id);
  }

  /** False for one that is not there. */
  delete(member: Member): boolean {
    const rows = this.#rows;
    const row = member.id & (rows.length - 1);
    let former: Member | null = null;
    let at = rows[row] ?? null;
    while (at !== null && at !== member) {
      former = at;
      at = at.next;
    }
    if (at === null) return false;
    if (former === null) rows[row] = member.next;
    else former.next = member.next;
    member.next = null; // or a dead one would lead to those that followed it
    this.size--;
    return true;
  }

  /** Those that are there now, whoever comes or goes meanwhile. */
  all(): readonly Member[] {
    const all: Member[] = [];
    for (const first of this.#rows) for (let at = first; at !== null; at = at.next) all.push(at);
    return all;
  }

  #grow(): void {
    const rows = new Array<Member | null>(this.#rows.length * 2).fill(null);
    // The oldest first, so that of those with one number the last is found first.
    for (const member of this.all().toReversed()) put(rows, member);
    this.#rows = rows;
  }
}

function put<Member extends Numbered<Member>>(rows: (Member | null)[], member: Member): void {
  const row = member.id & (rows.length - 1);
  member.next = rows[row] ?? null;
  rows[row] = member;
}

function withNumber<Member extends Numbered<Member>>(first: Member | null, id: number): Member | null {
  let at = first;
  while (at !== null && at.id !== id) at = at.next;
  return at;
}
