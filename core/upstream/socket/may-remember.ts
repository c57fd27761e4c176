/** What is remembered for subscriptions leaves a part of the backlog to what waits for their readers. */
import type { SocketTerms } from './link.ts'

export type MemoryTerms = Pick<SocketTerms, 'limits' | 'backlog'>

/** Whether so many bytes more may be remembered. */
export function mayRemember(bytes: number, { limits, backlog }: MemoryTerms): boolean {
  return backlog.fits(backlog.maxBytes * (1 - limits.rememberedShare) + bytes)
}
