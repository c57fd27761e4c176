/** Problems of a configuration: what is wrong, and where in which file. */

/** Keys and positions from the top of a document. */
export type Path = readonly (string | number)[]

export interface Problem {
  readonly severity: 'error' | 'warning'
  /** As the operator named it. */
  readonly file: string
  /** Counted from 1; undefined where the whole file is the problem. */
  readonly line: number | undefined
  /** Such as `routes[2].plugins.limit-cu.time_window`; '' for the document as a whole. */
  readonly path: string
  /** A clause such as `must be >= 1`. Never holds a value, which may be a secret. */
  readonly message: string
  readonly hint: string | undefined
}

const PLAIN_KEY = /^[\w$*-]+$/

/** A path as people write it. */
export function formatPath(path: Path): string {
  let text = ''
  for (const part of path) {
    if (typeof part === 'number') text += `[${part}]`
    else if (!PLAIN_KEY.test(part)) text += `[${JSON.stringify(part)}]`
    else text += text === '' ? part : `.${part}`
  }
  return text
}

/** `conf/gateway.yaml:42 routes[2].plugins.limit-cu.time_window: must be >= 1 (hint)` */
export function formatProblem({ file, line, path, message, hint }: Problem): string {
  const where = line === undefined ? file : `${file}:${line}`
  return `${where}${path === '' ? '' : ` ${path}`}: ${message}${hint === undefined ? '' : ` (${hint})`}`
}
