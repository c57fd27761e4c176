/** Problems of a configuration: what is wrong, and where in which file. */

/** Keys and positions from the top of a document. */
export type Path = readonly (string | number)[]

export type Severity = 'error' | 'warning'

export interface Problem {
  readonly severity: Severity
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

/** A file whose lines are known. */
export interface Located {
  readonly file: string
  /** The line of a path or of the deepest part of it that there is; undefined when the file could not be read. */
  lineOf(path: Path): number | undefined
  /** Whether the text at a path could not be made out: what else is wrong there follows from that and is not listed. */
  isFaulty?(path: string): boolean
}

/** The problems of one configuration while it is judged. Telling one twice lists it once. */
export class Problems {
  private readonly found = new Map<string, Problem>()

  add(severity: Severity, where: Located, path: Path, message: string, hint?: string): void {
    const shownPath = formatPath(path)
    if (where.isFaulty?.(shownPath)) return
    const problem = { severity, file: where.file, line: where.lineOf(path), path: shownPath, message, hint }
    this.found.set(severity + formatProblem(problem), problem)
  }

  /** In the order in which they were found, file by file and line by line. */
  list(severity: Severity): Problem[] {
    const files = [...new Set(Array.from(this.found.values(), (problem) => problem.file))]
    return [...this.found.values()]
      .filter((problem) => problem.severity === severity)
      .sort((a, b) => files.indexOf(a.file) - files.indexOf(b.file) || (a.line ?? 0) - (b.line ?? 0))
  }
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
