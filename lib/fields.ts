import { invalidType } from './errors'
import { fieldBits } from './native'
import { checkOneOf } from './options'

/** What can be read of a process besides its identity and its parent's pid. */
export type Field = Exclude<keyof typeof fieldBits, 'nested'>

/** All fields, in the order of their bits. */
export const allFields: readonly Field[] = (Object.keys(fieldBits) as (keyof typeof fieldBits)[]).filter(
  (name): name is Field => name !== 'nested',
)

/** Everything but the environment, which is the costly one and the secret one. */
export const fieldsButEnv: readonly Field[] = allFields.filter((field) => field !== 'env')

export const listFields: readonly Field[] = ['name', 'argv']

export interface FieldPosition {
  readonly field: Field
  /** Number of the field's bit: where its reason stands in a row of `NativeTable.missing`. */
  readonly position: number
}

export const fieldPositions: readonly FieldPosition[] = allFields.map((field) => ({
  field,
  position: Math.log2(fieldBits[field]),
}))

/** The fields asked for, or the default; unknown names are a RangeError that lists the known ones. */
export function checkFields(option: string, value: unknown, fallback: readonly Field[]): readonly Field[] {
  if (value === undefined) return fallback
  if (!Array.isArray(value)) throw invalidType(option, value, `an array of ${allFields.join(', ')}`)
  return value.map((field: unknown, index) => checkOneOf(`${option}[${index}]`, field, allFields))
}

export function fieldMask(fields: readonly Field[]): number {
  return fields.reduce((mask, field) => mask | fieldBits[field], 0)
}
