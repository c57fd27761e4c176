/** The built-in plugins. A new one is its file and one line here. */
import accessLog from './access-log.ts'
import calculateCu from './calculate-cu.ts'
import cors from './cors.ts'
import guard from './guard.ts'
import ipRestriction from './ip-restriction.ts'
import jsonrpcVar from './jsonrpc-var.ts'
import jwtAuth from './jwt-auth.ts'
import keyAuth from './key-auth.ts'
import limitConn from './limit-conn.ts'
import limitCount from './limit-count.ts'
import limitCu from './limit-cu.ts'
import limitMonthlyCu from './limit-monthly-cu.ts'
import limitRange from './limit-range.ts'
import limitReq from './limit-req.ts'
import prometheus from './prometheus.ts'
import proxyRewrite from './proxy-rewrite.ts'
import realIp from './real-ip.ts'
import requestId from './request-id.ts'
import responseCache from './response-cache.ts'
import whitelist from './whitelist.ts'
import wsJsonrpcProxy from './ws-jsonrpc-proxy.ts'
import type { AnyPlugin } from '#plugin'

export const plugins: readonly AnyPlugin[] = [
  accessLog,
  calculateCu,
  cors,
  guard,
  ipRestriction,
  jsonrpcVar,
  jwtAuth,
  keyAuth,
  limitConn,
  limitCount,
  limitCu,
  limitMonthlyCu,
  limitRange,
  limitReq,
  prometheus,
  proxyRewrite,
  realIp,
  requestId,
  responseCache,
  whitelist,
  wsJsonrpcProxy,
]
