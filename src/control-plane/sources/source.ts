import type { Condition } from '#control-plane/index/index-delta.ts';
import type { Finding, Problem } from '#control-plane/resources/finding.ts';
import type { Resource, ResourceName } from '#control-plane/resources/resource.ts';
import type { Soon } from '#model/effects/work.ts';

/** What became of a source's resources since it last told. Both lists are empty when only its findings changed. */
export type SourceChange = {
  /** Resources that are new or differ from what was in force. */
  upserted: readonly Resource[];
  removed: readonly ResourceName[];
};

/** What a source holds, for a quick start. */
export type SourceContent = {
  /** A word for all of it: other content, another word. */
  digest: string;
  /** What was made of it, in parts by a key; `revision`: a word for what it was made of. Plain data, for the source alone. */
  parts: readonly { key: string; revision: string; take(): readonly object[] }[];
};

/** Where a source tells what it has. */
export type SourceSink = {
  /**
   * Told before the first change, where that will take long: the digest of all that will be in it. Returns parts of the content of an
   * earlier run of the same build.
   */
  looked?(digest: string): Promise<readonly object[]>;
  /**
   * The first call brings everything there is, even when that is nothing. What takes longer than a turn is in force when the
   * promise resolves; nothing more is told until then.
   */
  change(change: SourceChange): Soon<void>;
  /** The source cannot be read for now; what it told stays in force. Told once per problem. */
  trouble(problem: Error): void;
};

/**
 * Where configuration comes from: a directory of files, the API server of a cluster. A source reads and checks what it finds,
 * decides which of several descriptions of a resource counts, and keeps the last good version of one that became invalid.
 */
export type Source = {
  /** Tells everything there is, then resolves, then goes on telling. Errors: of the source, when it cannot be read at all. */
  start(sink: SourceSink): Promise<void>;
  /** Tells nothing more. */
  stop(): Promise<void>;
  /** What is wrong with what the source holds now, in no order. */
  findings(): Finding[];
  /** Gives problems that were found later (by the index, say) the places where their fields are written. */
  locate(problems: ReadonlyMap<ResourceName, readonly Problem[]>): Finding[];
  /**
   * Takes back what became of its resources: all conditions of each one named, an empty list when none are left. Where a
   * source can keep them beside the resource it does; here they can be read again. Workloads that nodes registered are among
   * them: no source describes those, so it has no place of its own for their conditions.
   */
  reportConditions(changed: ReadonlyMap<ResourceName, readonly Condition[]>): void;
  /** The conditions that were reported and hold now. */
  conditions(): Condition[];
  /** Whether it keeps what the next start needs: of several replicas only the one that leads does. At first it does. */
  lead?(leads: boolean): void;
  /** null while that changes, or where it cannot be told. */
  content(): SourceContent | null;
  /** What the source could not keep for the next start, one sentence each. */
  problems(): string[];
};
