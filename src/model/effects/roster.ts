/** What a roster may hold: each member knows its own place. */
export type Rostered = {
  /** Only rosters read or write it; -1: in none. */
  place: number;
};

/**
 * A set of what comes and goes with each request or connection. A `Set` would be made anew every few dozen of them, and each dead
 * table leads the garbage collector to the next: what ended long ago outlives two collections, and costs more than it ever did.
 */
export class Roster<Member extends Rostered> {
  readonly #members: Member[] = [];

  get size(): number {
    return this.#members.length;
  }

  add(member: Member): void {
    member.place = this.#members.length;
    this.#members.push(member);
  }

  /** Does nothing for one that has been removed before. */
  delete(member: Member): void {
    const { place } = member;
    if (place < 0) return;
    const last = this.#members.pop();
    if (last !== undefined && last !== member) {
      this.#members[place] = last;
      last.place = place;
    }
    member.place = -1;
  }

  /** Those that are there now, whoever comes or goes meanwhile. */
  all(): readonly Member[] {
    return this.#members.slice();
  }
}
