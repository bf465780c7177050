import { isIPv4, isIPv6 } from 'node:net'

/** An address as bytes: 4 of them, or 16. `::ffff:1.2.3.4` is the IPv4 address it stands for. */
export type IpBytes = Uint8Array

const mappedPrefix = Uint8Array.of(0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff)

/** The bytes of an address in text, or undefined where it is none. A zone (`%eth0`) is left out. */
export function parseIp(text: string): IpBytes | undefined {
  if (isIPv4(text)) return Uint8Array.from(text.split('.'), Number)
  if (!isIPv6(text)) return undefined
  const [address = ''] = text.split('%')
  const [head = '', tail] = address.split('::')
  const left = groupBytes(head)
  const right = groupBytes(tail ?? '')
  const bytes = new Uint8Array(16)
  bytes.set(left, 0)
  bytes.set(right, 16 - right.length)
  return isMapped(bytes) ? bytes.slice(12) : bytes
}

function groupBytes(groups: string): number[] {
  if (groups === '') return []
  return groups.split(':').flatMap((group) => {
    if (group.includes('.')) return group.split('.').map(Number)
    const value = Number.parseInt(group, 16)
    return [value >> 8, value & 0xff]
  })
}

function isMapped(bytes: IpBytes): boolean {
  return mappedPrefix.every((byte, index) => bytes[index] === byte)
}

/** The text of 4 or 16 bytes, in the one form that RFC 5952 recommends. */
export function formatIp(bytes: IpBytes): string {
  if (bytes.length === 4) return bytes.join('.')
  if (isMapped(bytes)) return `::ffff:${bytes.subarray(12).join('.')}`
  const groups = Array.from({ length: 8 }, (_, index) => ((bytes[index * 2] ?? 0) << 8) | (bytes[index * 2 + 1] ?? 0))
  const { start, length } = longestZeros(groups)
  const hex = groups.map((group) => group.toString(16))
  if (length < 2) return hex.join(':')
  return `${hex.slice(0, start).join(':')}::${hex.slice(start + length).join(':')}`
}

/** The first of the longest runs of zero groups: the one to be written as `::`. */
function longestZeros(groups: readonly number[]): { readonly start: number; readonly length: number } {
  let best = { start: 0, length: 0 }
  let length = 0
  for (const [index, group] of groups.entries()) {
    length = group === 0 ? length + 1 : 0
    if (length > best.length) best = { start: index - length + 1, length }
  }
  return best
}

/** `0.0.0.0` or `::`. */
export function isWildcard(bytes: IpBytes): boolean {
  return bytes.every((byte) => byte === 0)
}

export function sameIp(a: IpBytes, b: IpBytes): boolean {
  return a.length === b.length && a.every((byte, index) => byte === b[index])
}
