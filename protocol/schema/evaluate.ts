/**
 * The only place that turns text into code. The text is made of our schemas, never of bytes that were received:
 * names pass `identifier`, values `JSON.stringify`. `name` stands for the file in stack traces and profiles.
 */
export function evaluate<T>(
  name: string,
  source: string,
  constants: Readonly<Record<string, unknown>>,
): T {
  const text = `${source}\n//# sourceURL=millrace/${name}`
  // oxlint-disable-next-line typescript/no-implied-eval -- see above; as fast as code by hand (style §5)
  const make = new Function(...Object.keys(constants), text)
  return make(...Object.values(constants)) as T
}
