/** The headers of one HTTP answer: names and values in turns, in the order in which they were first set, as node:http writes them. */

export class HeaderList {
  readonly flat: (string | number)[] = []

  get(name: string): string | number | undefined {
    const at = this.indexOf(name)
    return at === -1 ? undefined : this.flat[at + 1]
  }

  /** A later value replaces an earlier one. */
  set(name: string, value: string | number): void {
    const at = this.indexOf(name)
    if (at === -1) this.flat.push(name, value)
    else this.flat[at + 1] = value
  }

  setAll(headers: Readonly<Record<string, string>> | undefined): void {
    for (const name in headers) this.set(name, headers[name]!)
  }

  /** One `name: value` line each. */
  get text(): string {
    const { flat } = this
    let text = ''
    for (let at = 0; at < flat.length; at += 2) text += `${flat[at]}: ${flat[at + 1]}\r\n`
    return text
  }

  /** The same, each without its end. */
  lines(): string[] {
    return this.text.split('\r\n').slice(0, -1)
  }

  private indexOf(name: string): number {
    const { flat } = this
    for (let at = 0; at < flat.length; at += 2) if (flat[at] === name) return at
    return -1
  }
}
