/**
 * A picture of the report: on the page with a caption, as a file under its name.
 * @module
 */
export interface Picture {
  /** Of the file, without its ending: lower-case words joined by hyphens. */
  readonly name: string;
  /** From plots.ts. */
  readonly svg: string;
  readonly caption: string;
}

/** "Matryoshka, random prefixes" as part of a file name: "matryoshka-random-prefixes". */
export function fileWord(text: string): string {
  const words = text
    .normalize('NFKD')
    .toLowerCase()
    .match(/[a-z0-9]+/g) ?? ['unnamed'];
  return words.join('-');
}
