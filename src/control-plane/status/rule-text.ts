import { formatCidr } from '#model/address/ip.ts';
import type { Match, Rule, StringMatch } from '#model/mesh/authorization.ts';
import type { L7Condition, L7Operation, L7Rule, L7Source } from '#model/waypoint/config.ts';

/** A rule of connections as a person would say it: `identity cluster.local/ns/shop/sa/web and to port 80`. */
export function ruleText({ clauses }: Rule): string {
  const parts = clauses.map(({ matches }) => either(matches.map((match) => matchText(match) || 'nothing')));
  return parts.filter((part) => part !== '').join(' and ') || 'everything';
}

/** A rule of requests, in the same words. */
export function requestRuleText({ from, to, when }: L7Rule): string {
  const parts = [either(from.map(sourceText)), either(to.map(operationText)), ...when.map(conditionText)];
  return parts.filter((part) => part !== '').join(' and ') || 'everything';
}

/** A field with the words that stand before its values. */
type Field = readonly [words: string, values: readonly string[]];

function matchText(match: Match): string {
  return fieldsText([
    ['from namespace', match.namespaces.map(stringText)],
    ['not from namespace', match.notNamespaces.map(stringText)],
    ['from identity', match.principals.map(stringText)],
    ['not from identity', match.notPrincipals.map(stringText)],
    ['from account', match.serviceAccounts.map(accountText)],
    ['not from account', match.notServiceAccounts.map(accountText)],
    ['from address', match.sourceIps.map(formatCidr)],
    ['not from address', match.notSourceIps.map(formatCidr)],
    ['to address', match.destinationIps.map(formatCidr)],
    ['not to address', match.notDestinationIps.map(formatCidr)],
    ['to port', match.destinationPorts.map(String)],
    ['not to port', match.notDestinationPorts.map(String)],
  ]);
}

function sourceText(source: L7Source): string {
  return fieldsText([
    ['from namespace', source.namespaces],
    ['not from namespace', source.notNamespaces],
    ['from identity', source.principals],
    ['not from identity', source.notPrincipals],
    ['from account', source.serviceAccounts],
    ['not from account', source.notServiceAccounts],
    ['from address', source.ipBlocks],
    ['not from address', source.notIpBlocks],
  ]);
}

function operationText(operation: L7Operation): string {
  return fieldsText([
    ['method', operation.methods],
    ['not method', operation.notMethods],
    ['path', operation.paths],
    ['not path', operation.notPaths],
    ['host', operation.hosts],
    ['not host', operation.notHosts],
    ['to port', operation.ports],
    ['not to port', operation.notPorts],
  ]);
}

function conditionText({ key, values, notValues }: L7Condition): string {
  return fieldsText([
    [key, values],
    [`not ${key}`, notValues],
  ]);
}

/** Empty without any field: then the match of a connection never holds, and the entry of a request always does. */
function fieldsText(fields: readonly Field[]): string {
  const told = fields.flatMap(([words, values]) => (values.length === 0 ? [] : [`${words} ${values.join(' or ')}`]));
  return told.join(' and ');
}

/** Empty where nothing is restricted: without entries, or with one that everything fulfils. */
function either(texts: readonly string[]): string {
  if (texts.includes('')) return '';
  const [only = ''] = texts;
  return texts.length < 2 ? only : `(${texts.join('; or ')})`;
}

function stringText(match: StringMatch): string {
  switch (match.kind) {
    case 'exact':
      return match.value;
    case 'prefix':
      return `${match.value}*`;
    case 'suffix':
      return `*${match.value}`;
    case 'presence':
      return 'any';
  }
}

function accountText({ namespace, serviceAccount }: { namespace: string; serviceAccount: string }): string {
  return `${namespace}/${serviceAccount}`;
}
