export type AssignorName = 'range' | 'roundrobin' | 'sticky' | 'cooperative-sticky'

/** Apart from what they do, which is loaded when a classic group needs it. */
export const assignorNames: readonly string[] = [
  'range',
  'roundrobin',
  'sticky',
  'cooperative-sticky',
] satisfies AssignorName[]
