#!/usr/bin/env node
// What `millrace` runs. CommonJS, because an ES module comes too late: to load one, Node reads files on libuv's thread
// pool, which takes its size when it first starts (tried: 4 threads for an ES module that sets 16, 16 for this).
'use strict'

// Several flushes must not hold up each other.
process.env.UV_THREADPOOL_SIZE ??= '16'
// Keeps compiled code between runs; Node 20 does not have it.
require('node:module').enableCompileCache?.()
void import('./main.mjs')
