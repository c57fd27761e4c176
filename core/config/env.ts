/** `${NAME}` in the strings of a configuration: how secrets get in. `$${` stands for a literal `${`. */

export type Env = Readonly<Record<string, string | undefined>>

const REFERENCE = /\$(\$?)\{([^}]*)(\}?)/g
const NAME = /^[A-Za-z_][A-Za-z0-9_]*$/

/** Puts the environment's values in place. What cannot be replaced is told to `wrong` and stays as it is. */
export function substitute(text: string, env: Env, wrong: (message: string, hint?: string) => void): string {
  return text.replace(REFERENCE, (reference: string, escaped: string, name: string, close: string) => {
    if (escaped !== '') return reference.slice(1)
    if (close === '' || !NAME.test(name)) {
      wrong('${ must be followed by the name of an environment variable and }', 'write $${ for a literal ${; defaults are not supported')
      return reference
    }
    const value = env[name]
    if (value === undefined) wrong(`environment variable ${name} is not set`)
    return value ?? reference
  })
}
