import assert from 'node:assert/strict';
import { test } from 'node:test';
import { type ConfFile, primaryOf, withEntry, withoutEntry } from './conf-list.ts';

const ENTRY = '{"type":"weft-cni"}';
const LISTS = {
  short: '{"name":"n","plugins":[{"type":"ptp"}]}',
  'with blanks': '{\n  "cniVersion": "1.0.0",\n  "name": "n",\n  "plugins": [\n    { "type": "ptp" }\n  ]\n}\n',
  'with numbers and escapes of its own':
    '{"a":1152921504606846976,"name":"\\u006e","plugins":[{"type":"ptp","b":[{"}":"]\\""}]},{"type":"bandwidth"}],"z":1e0}',
};

for (const [name, text] of Object.entries(LISTS)) {
  test(`K1: a list ${name} gets the entry as its last plugin, stays as it is otherwise, and is as before without it`, () => {
    const chained = withEntry(text, ENTRY);
    const { plugins } = JSON.parse(chained) as { plugins: { type: string }[] };
    assert.equal(plugins.at(-1)?.type, 'weft-cni');
    assert.equal(chained.replace(`,${ENTRY}`, ''), text);
    assert.equal(withEntry(chained, ENTRY), chained);
    assert.equal(withoutEntry(chained), text);
    assert.equal(withoutEntry(text), text);
  });
}

test('an entry of before, one that is not the last, and one that is there twice make place for the one that is to be', () => {
  const wanted = `{"name":"n","plugins":[{"type":"ptp"},${ENTRY}]}`;
  for (const plugins of [
    '{"type":"ptp"},{"type":"weft-cni","old":1}',
    `${ENTRY},{"type":"ptp"}`,
    `${ENTRY}, {"type":"ptp"},${ENTRY}`,
  ]) {
    assert.equal(withEntry(`{"name":"n","plugins":[${plugins}]}`, ENTRY), wanted, plugins);
  }
});

test('what is no list is left as it is', () => {
  for (const text of ['', '{', '[]', '{"plugins":{}}', '{"type":"ptp"}', `{"plugins":[${ENTRY}]}`])
    assert.equal(withoutEntry(text), text);
});

const PRIMARY: { name: string; files: ConfFile[]; is: string | RegExp }[] = [
  { name: 'the first by name', files: [file('20-b.conflist'), file('10-a.conflist')], is: '10-a.conflist' },
  { name: 'none that a runtime does not read', files: [file('00-a.conflist.bak'), file('10-a.conflist')], is: '10-a.conflist' },
  {
    name: 'K9: not another than the first, be that no list',
    files: [file('00-x.json'), file('10-a.conflist')],
    is: /00-x\.json is no list/,
  },
  { name: 'not one plugin alone', files: [file('10-a.conf')], is: /10-a\.conf is no list of plugins: make it one/ },
  { name: 'half a file', files: [{ name: '10-a.conflist', text: '{"plu' }], is: /10-a\.conflist is no JSON/ },
  {
    name: 'nobody who gives addresses',
    files: [{ name: '10-a.conflist', text: `{"plugins":[${ENTRY}]}` }],
    is: /has no plugin that gives/,
  },
  { name: 'nothing yet', files: [], is: /no network is configured/ },
];

for (const { name, files, is } of PRIMARY) {
  test(`the chain of a node: ${name}`, () => {
    const primary = primaryOf(files);
    if (typeof is === 'string') assert.equal('name' in primary && primary.name, is);
    else assert.match('problem' in primary ? primary.problem : '', is);
  });
}

function file(name: string): ConfFile {
  return { name, text: LISTS.short };
}
