import type { Membership } from './context'
import { groupScope } from './group-scope'
import type { Scope } from './options'
import { treeScope } from './tree-scope'

export const scopes: Readonly<Record<Scope, Membership>> = { process: {}, group: groupScope, tree: treeScope }
