#!/usr/bin/env node
// The package's command, and in git: `npx millrace` works right after `git clone`. It installs and builds first where that
// was never done; npm, too, links a command only where its file is there.
'use strict'

const { execFileSync } = require('node:child_process')
const { existsSync } = require('node:fs')
const path = require('node:path')

const built = path.join(__dirname, '..', 'dist', 'bin', 'millrace.js')
if (!existsSync(built)) {
  try {
    execFileSync(process.execPath, [path.join(__dirname, 'setup.mjs')], { stdio: ['ignore', 2, 2] })
  } catch {
    // It has told why.
    process.exit(1)
  }
}
require(built)
