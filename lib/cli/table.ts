import { pad, textWidth, truncate } from './text'
import { ellipsis, type Ui } from './ui'

/** One column of a table. Texts must be {@link visible} already. */
export interface Column<Row> {
  readonly title: string
  readonly align?: 'left' | 'right'
  /** May shrink to so many columns when the terminal is too narrow. The last column always may. */
  readonly shrinkTo?: number
  text(row: Row): string
  paint?(text: string, row: Row): string
}

/**
 * Returns a table with aligned columns and a line break after each row; '' when there is no row. On a terminal no line
 * is longer than it is wide: columns that may shrink do so from the right, then lines are cut.
 */
export function renderTable<Row>(columns: readonly Column<Row>[], rows: readonly Row[], ui: Ui): string {
  if (rows.length === 0) return ''
  const cells = rows.map((row) => columns.map((column) => column.text(row)))
  const widths = fittedWidths(columns, cells, ui)
  const titles = columns.map((column) => column.title)
  const header = renderLine(columns, titles, widths, ui, (text) => ui.colours.bold(text))
  const body = rows.map((row, index) =>
    renderLine(columns, cells[index] ?? [], widths, ui, (text, column) => column.paint?.(text, row) ?? text),
  )
  return [header, ...body].map((line) => `${line}\n`).join('')
}

const gap = 2

function fittedWidths<Row>(columns: readonly Column<Row>[], cells: readonly string[][], ui: Ui): number[] {
  const widths = columns.map((column, index) =>
    cells.reduce((widest, row) => Math.max(widest, textWidth(row[index] ?? '')), textWidth(column.title)),
  )
  if (ui.width === undefined) return widths
  let excess = widths.reduce((sum, width) => sum + width + gap, -gap) - ui.width
  for (let index = columns.length - 1; index >= 0 && excess > 0; index--) {
    const least = columns[index]?.shrinkTo ?? (index === columns.length - 1 ? 8 : undefined)
    const width = widths[index] ?? 0
    if (least === undefined || width <= least) continue
    const cut = Math.min(excess, width - least)
    widths[index] = width - cut
    excess -= cut
  }
  return widths
}

function renderLine<Row>(
  columns: readonly Column<Row>[],
  cells: readonly string[],
  widths: readonly number[],
  ui: Ui,
  paint: (text: string, column: Column<Row>) => string,
): string {
  let room = ui.width ?? Number.POSITIVE_INFINITY
  const parts: string[] = []
  for (const [index, column] of columns.entries()) {
    const width = Math.min(ui.width === undefined ? Number.POSITIVE_INFINITY : (widths[index] ?? 0), room)
    if (width <= 0) break
    const text = truncate(cells[index] ?? '', width, ellipsis(ui))
    const isLast = index === columns.length - 1
    const filled =
      isLast && column.align !== 'right' ? text : pad(text, Math.min(widths[index] ?? 0, room), column.align)
    parts.push(paint(filled, column))
    room -= (widths[index] ?? 0) + gap
  }
  return parts.join(' '.repeat(gap)).trimEnd()
}
