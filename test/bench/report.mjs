// The table of a run: one row a target, with what was measured, what was wanted and whether it was met.

/**
 * @typedef {object} Row
 * @property {string} what            what pidproof did
 * @property {number} [processes]     how many were alive
 * @property {number} value           milliseconds, or a count where `unit` says so
 * @property {string} [unit]
 * @property {string} against         the other side of the ratio, or '' for an absolute target
 * @property {number} [other]         milliseconds of the other side
 * @property {'share' | 'faster' | 'limit'} kind   ours / theirs, theirs / ours, or the value itself
 * @property {number} target
 */

export function result(row) {
  if (row.kind === 'share') return row.value / row.other
  if (row.kind === 'faster') return row.other / row.value
  return row.value
}

export function met(row) {
  return row.kind === 'faster' ? result(row) >= row.target : result(row) <= row.target
}

function duration(ms) {
  if (ms >= 100) return `${ms.toFixed(0)} ms`
  return ms >= 10 ? `${ms.toFixed(1)} ms` : `${ms.toFixed(2)} ms`
}

function amount(row, value) {
  return row.unit ? `${value} ${row.unit}` : duration(value)
}

function cells(row) {
  const ratio = row.kind === 'limit' ? '' : `${result(row).toFixed(result(row) >= 20 ? 0 : 2)} ×`
  const wanted =
    row.kind === 'limit'
      ? `≤ ${amount(row, row.target)}`
      : `${row.kind === 'share' ? '≤' : '≥'} ${row.target} × ${row.kind === 'share' ? 'its time' : 'faster'}`
  return [
    row.what,
    row.processes === undefined ? '' : row.processes.toLocaleString('en'),
    amount(row, row.value),
    row.other === undefined ? row.against : `${row.against} ${duration(row.other)}`,
    ratio,
    wanted,
    met(row) ? 'met' : 'MISSED',
  ]
}

const HEAD = ['what', 'processes', 'pidproof', 'compared with', 'ratio', 'target', '']

/** The rows as a markdown table. */
export function markdown(rows) {
  const line = (columns) => `| ${columns.join(' | ')} |`
  return [line(HEAD), line(HEAD.map(() => '---')), ...rows.map((row) => line(cells(row)))].join('\n')
}

/** The rows as aligned columns for a terminal. */
export function table(rows) {
  const lines = [HEAD, ...rows.map(cells)]
  const widths = HEAD.map((_, column) => Math.max(...lines.map((columns) => columns[column].length)))
  return lines
    .map((columns) =>
      columns
        .map((cell, i) => cell.padEnd(widths[i]))
        .join('  ')
        .trimEnd(),
    )
    .join('\n')
}

/** One sentence about how many targets were met. */
export function summary({ rows, absent, moments }) {
  const missed = rows.filter((row) => !met(row))
  const skipped = absent.length > 0 ? ` Not compared, because not installed: ${absent.join(', ')}.` : ''
  const busy =
    moments.busy > 0 ? ` Other work kept the processors busy at ${moments.busy} of ${moments.all} measurements.` : ''
  const count = `${rows.length - missed.length} of ${rows.length} targets met, ${missed.length} MISSED.`
  return `${missed.length === 0 ? `All ${rows.length} targets met.` : count}${skipped}${busy}`
}
