// The architecture as a table: a breach fails with the file's name, in our words.
import { readdirSync, readFileSync, statSync } from 'node:fs'
import { dirname, join, normalize, relative } from 'node:path'
import { fileURLToPath } from 'node:url'
import t from 'tap'
import { isExempt, layers } from './layers.ts'

const root = repositoryRoot(dirname(fileURLToPath(import.meta.url)))
const folders = ['base', 'protocol', 'broker', 'client', 'controller', 'cli']
const linesMax = 500
const importPattern =
  /^\s*import\s*['"]([^'"]+)['"]|\bfrom\s+['"]([^'"]+)['"]|\bimport\(\s*['"]([^'"]+)['"]\s*\)/gm

function repositoryRoot(folder: string): string {
  try {
    statSync(join(folder, 'package-lock.json'))
    return folder
  } catch {
    return repositoryRoot(dirname(folder))
  }
}

function* sources(folder: string): Generator<string> {
  for (const entry of readdirSync(join(root, folder), { withFileTypes: true })) {
    const path = `${folder}/${entry.name}`
    if (entry.isDirectory()) yield* sources(path)
    else if (entry.name.endsWith('.ts')) yield path
  }
}

function layerOf(path: string): string {
  const fits = (layer: string): boolean => path.startsWith(`${layer}/`) || path === `${layer}.ts`
  return (
    Object.keys(layers)
      .filter(fits)
      .sort((a, b) => b.length - a.length)[0] ?? ''
  )
}

function importsOf(path: string): string[] {
  const text = readFileSync(join(root, path), 'utf8')
  return [...text.matchAll(importPattern)].map((match) => match[1] ?? match[2] ?? match[3] ?? '')
}

function allows(layer: string, target: string): boolean {
  const targetLayer = layerOf(target)
  return (
    targetLayer === layer ||
    (layers[layer] ?? []).some(
      (each) => each === targetLayer || target === `${each}.ts` || target.startsWith(`${each}/`),
    )
  )
}

const files = folders.flatMap((folder) => [...sources(folder)])

t.test('layers: no file imports from a layer above it', async (t) => {
  const breaches: string[] = []
  for (const file of files) {
    for (const specifier of importsOf(file)) {
      if (!specifier.startsWith('.')) continue
      const target = normalize(join(dirname(file), specifier))
      if (!allows(layerOf(file), target)) breaches.push(`${file} imports ${target}`)
    }
  }
  t.same(breaches, [])
})

t.test('layers: each package is imported by exactly one file', async (t) => {
  const importers = new Map<string, string[]>()
  for (const file of files) {
    for (const specifier of new Set(importsOf(file))) {
      if (!isExempt(specifier))
        importers.set(specifier, [...(importers.get(specifier) ?? []), file])
    }
  }
  const shared = [...importers].filter(([, users]) => users.length > 1)
  t.same(shared, [])
})

t.test('layers: no source file is longer than a reader can hold', async (t) => {
  const exempt = /^protocol\/(messages\/|errors\.ts)/
  const long = files
    .filter((file) => !exempt.test(file))
    .map(
      (file) =>
        `${relative('.', file)}: ${readFileSync(join(root, file), 'utf8').split('\n').length - 1} lines`,
    )
    .filter((line) => Number(/: (\d+) lines/.exec(line)?.[1]) > linesMax)
  t.same(long, [])
})
