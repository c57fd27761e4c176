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

/** Of each severity. What is wrong more often than this is wrong for one reason, and a longer list would not be written to the log. */
const MAX_PROBLEMS = 1000

/** The problems of one configuration while it is judged. Telling one twice lists it once. */
export class Problems {
  private readonly found = { error: new Map<string, Problem>(), warning: new Map<string, Problem>() }
  /** The first file of which a problem is not listed. */
  private readonly unlisted: { [S in Severity]?: string } = {}

  /** Answers whether it is listed. */
  add(severity: Severity, where: Located, path: Path, message: string, hint?: string): boolean {
    const shownPath = formatPath(path)
    if (where.isFaulty?.(shownPath)) return false
    if (this.found[severity].size < MAX_PROBLEMS) this.take([{ severity, file: where.file, line: where.lineOf(path), path: shownPath, message, hint }])
    else this.unlisted[severity] ??= where.file
    return this.unlisted[severity] === undefined
  }

  /** Adds what was found elsewhere. */
  take(problems: readonly Problem[]): void {
    for (const problem of problems) this.found[problem.severity].set(formatProblem(problem), problem)
  }

  /** In the order in which they were found, file by file and line by line. */
  list(severity: Severity): Problem[] {
    const found = [...this.found[severity].values()]
    const files = [...new Set(found.map((problem) => problem.file))]
    const unlisted = this.unlisted[severity]
    return [
      ...found.toSorted((a, b) => files.indexOf(a.file) - files.indexOf(b.file) || (a.line ?? 0) - (b.line ?? 0)),
      ...(unlisted === undefined
        ? []
        : [{ severity, file: unlisted, line: undefined, path: '', message: 'has more problems than are listed', hint: undefined }]),
    ]
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
