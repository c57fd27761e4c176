/** Close codes that may be sent on (RFC 6455 section 7.4): 1000, 1001, 1008, 1009, 1011, 1013 and the ranges of applications. */

const GOING_AWAY = 1001
const INTERNAL_ERROR = 1011
const NORMAL = 1000
/** Never sent: the other side gave no code. */
const NO_STATUS = 1005

/** The code for a client whose node closed with this one. */
export function codeForClient(code: number): number {
  if (code === NO_STATUS) return NORMAL
  return isSendable(code) ? code : INTERNAL_ERROR
}

/** The code for a node whose client closed with this one. */
export function codeForNode(code: number): number {
  return isSendable(code) ? code : GOING_AWAY
}

function isSendable(code: number): boolean {
  return (code >= 3000 && code <= 4999) || [1000, 1001, 1008, 1009, 1011, 1013].includes(code)
}
