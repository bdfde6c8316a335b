#!/usr/bin/env node
// What `millrace` runs. CommonJS, because an ES module comes too late: to load one, Node reads files on libuv's thread
// pool, which takes its size when it first starts (tried: 4 threads for an ES module that sets 16, 16 for this).
'use strict'

const { existsSync, readFileSync } = require('node:fs')
const Module = require('node:module')
const path = require('node:path')
const { Script } = require('node:vm')

// Several flushes must not hold up each other.
process.env.UV_THREADPOOL_SIZE ??= '16'

const bundle = path.join(__dirname, 'main.cjs')
// Bytecode is the processor's; V8 itself refuses what another version of it, or with other flags, has compiled.
const compiled = path.join(__dirname, `main.${process.platform}-${process.arch}.compiled`)

/** Runs the bundle with the code that the build has compiled, if it fits. Returns its script, of which the build keeps the code. */
function runCompiled() {
  const cachedData = existsSync(compiled) ? readFileSync(compiled) : undefined
  const source = Module.wrap(readFileSync(bundle, 'latin1')) // The bundler escapes all that is not ASCII.
  const script = new Script(source, { filename: bundle, cachedData })
  const exported = { exports: {} }
  const run = script.runInThisContext()
  run.call(
    exported.exports,
    exported.exports,
    Module.createRequire(bundle),
    exported,
    bundle,
    __dirname,
  )
  return script
}

if (Module.enableCompileCache) {
  // From Node 22 on it keeps compiled code between runs.
  Module.enableCompileCache()
  require(bundle)
} else module.exports = { script: runCompiled(), compiled }
