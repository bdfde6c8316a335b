const lengthMax = 1024

/** A message that repeats what a client sent, short enough for a string of an answer. */
export function errorText(message: string): string {
  return message.slice(0, lengthMax)
}
