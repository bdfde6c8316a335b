/**
 * System calls that Node does not offer, through koffi. The only importer of koffi.
 *
 * Everything is optional: where koffi has no binary, or the C library lacks a symbol, a call is undefined
 * and its caller falls back. Loading costs about 10 ms, so it happens at the first use.
 * Addresses and lengths are JS numbers: user space ends at 2^47.
 */
import { createRequire } from 'node:module'

export interface Native {
  /** Reserves address space without access. Undefined when the system refused. */
  readonly reserve: ((bytes: number) => number | undefined) | undefined
  /** Maps a file shared and read only, from its start, over reserved space. False when the system refused. */
  readonly map: ((address: number, fd: number, bytes: number) => boolean) | undefined
  /** Makes mapped space reserved space again. False when the system refused. */
  readonly unmap: ((address: number, bytes: number) => boolean) | undefined
  /** Reserved space as V8 sees it. Each call makes a new ArrayBuffer, which counts as `bytes` of garbage pressure. */
  readonly view: (address: number, bytes: number) => ArrayBuffer
  /** One byte a page into `pages`, bit 0 set when the page is in memory; false when the system refused. `address` is page aligned. */
  readonly resident: ((address: number, bytes: number, pages: Uint8Array) => boolean) | undefined
  /** Mapped pages leave this process and stay in the page cache; false when the system refused. `address` is page aligned. */
  readonly forget: ((address: number, bytes: number) => boolean) | undefined
  /** A second descriptor of the same open socket; undefined when there is none left. */
  readonly duplicate: ((fd: number) => number | undefined) | undefined
  /** Takes an exclusive lock on an open file without waiting. False: somebody else holds it. */
  readonly lock: ((fd: number) => boolean) | undefined
  /** Bytes sent; or the negative errno. */
  readonly sendFile:
    | ((socketFd: number, fd: number, position: number, count: number) => number)
    | undefined
  readonly eagain: number
  readonly pageBytes: number
}

type Foreign = (...parameters: unknown[]) => number

interface Koffi {
  load(path: string | null): { func(definition: string): Foreign }
  view(address: number, bytes: number): ArrayBuffer
  errno(): number
  readonly os: { readonly errno: Record<string, number> }
}

// PROT_NONE, PROT_READ, MAP_SHARED, MAP_PRIVATE, MAP_FIXED, LOCK_EX | LOCK_NB: the same on Linux, macOS and the BSDs.
const protNone = 0
const protRead = 1
const mapShared = 1
const mapPrivate = 2
const mapFixed = 0x10
/** MADV_DONTNEED, which on a shared map of a file loses nothing. */
const adviseDontNeed = 4
/** MAP_ANONYMOUS | MAP_NORESERVE. */
const mapNothing = process.platform === 'linux' ? 0x4020 : 0x1040
const lockExclusiveNow = 2 | 4

/** The definitions below take `off_t` and `size_t` for 64 bits. */
const architectures = new Set(['x64', 'arm64', 'riscv64', 'ppc64', 's390x', 'loong64'])

let loaded: Native | undefined
let tried = false

/** Undefined where there is nothing to call. */
export function native(): Native | undefined {
  if (!tried) {
    tried = true
    loaded = load()
  }
  return loaded
}

function load(): Native | undefined {
  if (process.platform === 'win32' || !architectures.has(process.arch)) return undefined
  try {
    return bind(createRequire(import.meta.url)('koffi') as Koffi)
  } catch {
    return undefined // No binary for this platform, or the package is not installed: the fallbacks serve.
  }
}

function bind(koffi: Koffi): Native {
  const library = koffi.load(null) // Node itself, which is linked to the C library, whatever its file is called.
  const mmap = symbol(
    library,
    'int64_t mmap(int64_t at, uint64_t bytes, int protection, int flags, int fd, int64_t from)',
  )
  const mincore = symbol(library, 'int mincore(int64_t at, uint64_t bytes, uint8_t *pages)')
  const madvise = symbol(library, 'int madvise(int64_t at, uint64_t bytes, int advice)')
  const dup = symbol(library, 'int dup(int fd)')
  const flock = symbol(library, 'int flock(int fd, int operation)')
  const sendfile =
    process.platform === 'linux'
      ? symbol(
          library,
          'int64_t sendfile(int to, int from, _Inout_ int64_t *position, uint64_t count)',
        )
      : undefined
  const getpagesize = symbol(library, 'int getpagesize()')
  const position = [0]
  return {
    reserve:
      mmap &&
      ((bytes) => {
        const address = mmap(0, bytes, protNone, mapPrivate | mapNothing, -1, 0)
        return address === -1 ? undefined : address
      }),
    map:
      mmap &&
      ((address, fd, bytes) =>
        mmap(address, bytes, protRead, mapShared | mapFixed, fd, 0) === address),
    unmap:
      mmap &&
      ((address, bytes) =>
        mmap(address, bytes, protNone, mapPrivate | mapNothing | mapFixed, -1, 0) === address),
    view: (address, bytes) => koffi.view(address, bytes),
    resident: mincore && ((address, bytes, pages) => mincore(address, bytes, pages) === 0),
    forget: madvise && ((address, bytes) => madvise(address, bytes, adviseDontNeed) === 0),
    duplicate:
      dup &&
      ((fd) => {
        const copy = dup(fd)
        return copy === -1 ? undefined : copy
      }),
    lock:
      flock &&
      ((fd) => {
        if (flock(fd, lockExclusiveNow) === 0) return true
        if (
          koffi.errno() === koffi.os.errno['EWOULDBLOCK'] ||
          koffi.errno() === koffi.os.errno['EAGAIN']
        )
          return false
        throw Object.assign(new Error('flock failed'), { errno: koffi.errno() })
      }),
    sendFile:
      sendfile &&
      ((socketFd, fd, from, count) => {
        position[0] = from
        const sent = sendfile(socketFd, fd, position, count)
        return sent < 0 ? -koffi.errno() : sent
      }),
    eagain: koffi.os.errno['EAGAIN'] ?? 11,
    pageBytes: getpagesize?.() ?? 4096,
  }
}

function symbol(
  library: { func(definition: string): Foreign },
  definition: string,
): Foreign | undefined {
  try {
    return library.func(definition)
  } catch {
    return undefined
  }
}
