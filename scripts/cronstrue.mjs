// Writes the words of cronstrue into jobs/testdata/cronstrue.golden, behind the
// expressions that stand there. Needs npm and the network; nothing is left behind.
//
//   node scripts/cronstrue.mjs
//
// To compare one more expression, add a line with it and run this again.
import { execFileSync } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'

const version = '3.39.0'
const golden = join(dirname(fileURLToPath(import.meta.url)), '..', 'jobs', 'testdata', 'cronstrue.golden')
const header = `# The words of cronstrue ${version} (https://github.com/bradymholt/cronstrue, MIT licence,
# Copyright (c) 2014 Brady Holt), for the test of our own. Written by scripts/cronstrue.mjs.
#
# Options: {use24HourTimeFormat: true, logicalAndDayFields: as carillon combines the day
# fields of this expression}, the others as they are: locale en, verbose false,
# dayOfWeekStartIndexZero true, monthStartIndexZero false.
#
# expression TAB words
`

// bothDays is carillon's rule: a day must match both day fields when one of them
// begins with * or ?, otherwise either.
function bothDays(expression) {
  const fields = expression.split(' ')
  const [dom, dow] = [fields.at(-3) ?? '*', fields.at(-1)]
  return /^[*?]/.test(dom) || /^[*?]/.test(dow)
}

const dir = mkdtempSync(join(tmpdir(), 'cronstrue-'))
try {
  execFileSync('npm', ['install', '--silent', '--no-save', '--prefix', dir, `cronstrue@${version}`], { stdio: ['ignore', 'ignore', 'inherit'] })
  const cronstrue = createRequire(join(dir, 'x.js'))('cronstrue')
  let text = header
  for (const line of readFileSync(golden, 'utf8').split('\n')) {
    if (line === '' || line.startsWith('# ') || line === '#') continue
    const expression = line.split('\t')[0]
    const words = cronstrue.toString(expression, { use24HourTimeFormat: true, logicalAndDayFields: bothDays(expression) })
    text += `${expression}\t${words}\n`
  }
  writeFileSync(golden, text)
} finally {
  rmSync(dir, { recursive: true })
}
