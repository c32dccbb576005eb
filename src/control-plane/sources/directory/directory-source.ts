import type { ResourceParser } from '#control-plane/resources/resource-parser.ts';
import { ConfigFiles, type FileSnapshot } from '#control-plane/sources/directory/config-files.ts';
import type { Source } from '#control-plane/sources/source.ts';

/**
 * Follows the files below a directory. Resolves once the first content was told; a problem (a file that cannot be read) leaves
 * what was told before in force. Errors: when the directory cannot be read at the start.
 */
export type WatchFiles = (listener: {
  onFiles(files: FileSnapshot): void;
  onProblem(problem: Error): void;
}) => Promise<{ close(): void }>;

/** A directory of YAML as a source: its resources are those of its files, whose text is looked at whenever it changes. */
export function directorySource({ parser, watch }: { parser: ResourceParser; watch: WatchFiles }): Source {
  const files = new ConfigFiles(parser);
  let watching: { close(): void } | null = null;
  return {
    async start(sink) {
      watching = await watch({
        onFiles: (snapshot) => sink.change(files.apply(snapshot)),
        onProblem: (problem) => sink.trouble(problem),
      });
    },
    async stop() {
      watching?.close();
    },
    findings: () => files.findings(),
    locate: (problems) => files.locate(problems),
    // Files are their author's: nothing is written into them. The status page shows what was reported.
    reportConditions: (changed) => files.ledger.reportConditions(changed),
    conditions: () => files.ledger.conditions(),
  };
}
