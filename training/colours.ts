/**
 * Colours where a person reads, never in a pipe or a file. (picocolors alone also colours wherever CI is set.)
 * @module
 */
import pc from 'picocolors';

type Colours = ReturnType<typeof pc.createColors>;

/** FORCE_COLOR wins over NO_COLOR, which wins over the terminal. */
function coloursFor(stream: { readonly isTTY?: boolean }): Colours {
  const { NO_COLOR, FORCE_COLOR, TERM } = process.env;
  const forced = (FORCE_COLOR ?? '') !== '' && FORCE_COLOR !== '0';
  const refused = (NO_COLOR ?? '') !== '' || TERM === 'dumb';
  return pc.createColors(forced || (!refused && stream.isTTY === true));
}

/** For what is printed on stdout. */
export const colours: Colours = coloursFor(process.stdout);

/** For what is printed on stderr. */
export const errorColours: Colours = coloursFor(process.stderr);
