/** The same load made by autocannon: what an independent program finds. It costs several times the CPU of our own and times in milliseconds. */
import autocannon from 'autocannon'
import { isExpected, textOf } from './requests.ts'
import type { Load, Report } from './generator.ts'

/** Requests with one call each. */
export async function fire({ host, port, connections, requests }: Load, seconds: number): Promise<Report> {
  const before = process.cpuUsage()
  const result = await autocannon({
    url: `http://${host}:${port}`,
    connections,
    duration: seconds,
    method: 'POST',
    requests: requests.map((request) => ({
      path: request.path,
      headers: { 'content-type': 'application/json', ...(request.key !== undefined && { apikey: request.key }) },
      body: textOf(request, 1),
    })),
    verifyBody: (body) => isExpected(requests[0]!, Buffer.from(body)),
  })
  const { user, system } = process.cpuUsage(before)
  const failed = result.mismatches + result.errors
  return {
    calls: result.requests.total - result.mismatches,
    failed,
    seconds: result.duration,
    p50Us: result.latency.p50 * 1000,
    p99Us: result.latency.p99 * 1000,
    ownCpuUs: user + system,
  }
}
