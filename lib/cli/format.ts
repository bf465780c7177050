const unitsMs: readonly (readonly [string, number])[] = [
  ['d', 86_400_000],
  ['h', 3_600_000],
  ['m', 60_000],
  ['s', 1000],
]

/** Returns a duration in its two largest units: `12 ms`, `4.2 s`, `3m 12s`, `2d 5h`. */
export function duration(ms: number): string {
  if (ms < 1000) return `${Math.max(0, Math.round(ms))} ms`
  if (ms < 60_000) return `${(ms / 1000).toFixed(1)} s`
  const first = unitsMs.findIndex(([, size]) => ms >= size)
  const parts = unitsMs.slice(first, first + 2).map(([unit, size], index) => {
    const larger = unitsMs[first + index - 1]
    const rest = larger && index > 0 ? ms % larger[1] : ms
    return `${Math.floor(rest / size)}${unit}`
  })
  return parts.join(' ')
}

/** Returns how long ago that was, never negative: the wall clock may have been set back since. */
export function age(since: Date, now = Date.now()): string {
  return duration(Math.max(0, now - since.getTime()))
}

/** Returns local date and time to the second: `2026-03-01 14:05:09`. */
export function dateTime(date: Date): string {
  const two = (value: number) => String(value).padStart(2, '0')
  const day = `${date.getFullYear()}-${two(date.getMonth() + 1)}-${two(date.getDate())}`
  return `${day} ${two(date.getHours())}:${two(date.getMinutes())}:${two(date.getSeconds())}`
}

/** Returns a size with a binary unit: `512 B`, `3.4 MiB`. */
export function bytes(count: number): string {
  const units = ['B', 'KiB', 'MiB', 'GiB', 'TiB']
  let value = count
  let unit = 0
  while (value >= 1024 && unit < units.length - 1) {
    value /= 1024
    unit++
  }
  return `${unit === 0 ? value : value.toFixed(1)} ${units[unit]}`
}

/** Returns the number with its noun: `1 process`, `3 processes`. */
export function counted(count: number, one: string, many: string): string {
  return `${count} ${count === 1 ? one : many}`
}
