/** What is used of autocannon, which has no types of its own. */
declare module 'autocannon' {
  export interface Options {
    readonly url: string
    readonly connections: number
    /** Seconds. */
    readonly duration: number
    readonly method: string
    readonly requests: readonly { readonly path: string; readonly headers: Readonly<Record<string, string>>; readonly body: string }[]
    readonly verifyBody: (body: string) => boolean
  }
  export interface Result {
    /** Seconds. */
    readonly duration: number
    readonly requests: { readonly total: number }
    /** Answers that `verifyBody` did not like. */
    readonly mismatches: number
    readonly errors: number
    readonly non2xx: number
    /** Milliseconds. */
    readonly latency: { readonly p50: number; readonly p99: number }
  }
  export default function autocannon(options: Options): Promise<Result>
}
